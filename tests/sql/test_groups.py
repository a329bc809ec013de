"""Groups of models: relations against brute force in numpy, and the page that leads with them."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from ingest.kernel.errors import InputError
from reports.data import wording
from reports.data.queries import read_report
from reports.site.pages import write_report
from sql.parameters import SIMILARITIES, Parameters
from sql.session import open_session
from tests.sql.computed.oracle import mean_best_match
from tests.support.running import Run
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

GROUPS = (("one", ("a", "b", "c")), ("two", ("d", "e", "f")))
# Models of a group are noisy copies of one another.
MODELS = [
    SyntheticModel(name, seed=1 + number, noise=0.05 * place)
    for number, (_, names) in enumerate(GROUPS)
    for place, name in enumerate(names)
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_synthetic_dataset(tmp_path_factory.mktemp("groups") / "dataset", MODELS)


def test_relations_equal_brute_force(dataset: Path) -> None:
    with open_session(dataset, Parameters(groups=GROUPS, n_draws=999)) as session:
        rows = session.rows("select * from similarities where value is not null")
        found = {
            (row["similarity"], row["measure"]): row
            for row in session.rows("select * from group_comparison")
        }
    names = [model.name for model in MODELS]
    assert {similarity for similarity, _ in found} == set(SIMILARITIES)
    for similarity in SIMILARITIES:
        alike, same = np.zeros((6, 6)), np.zeros((6, 6))
        for a, b in combinations(range(6), 2):
            cosines = np.full((6, 6), np.nan)
            for row in rows:
                if (row["similarity"], row["model_a"], row["model_b"]) == (
                    similarity,
                    names[a],
                    names[b],
                ):
                    place = row["layer_a"] * 3 + row["head_a"], row["layer_b"] * 3 + row["head_b"]
                    cosines[place] = row["value"]
            alike[a, b] = alike[b, a] = mean_best_match(cosines)
            places = [cosines.round(9).argmax(axis=axis) == np.arange(6) for axis in (1, 0)]
            same[a, b] = same[b, a] = np.mean(places)
        for measure, entries in (("best match", alike), ("same index", same)):
            statistics = []
            for first in combinations(range(6), 3):
                second = [model for model in range(6) if model not in first]
                within = [
                    np.mean([entries[pair] for pair in combinations(group, 2)])
                    for group in (first, second)
                ]
                between = np.mean([entries[x, y] for x in first for y in second])
                statistics.append((np.mean(within), between))
            differences = np.array([within - between for within, between in statistics])
            row = found[similarity, measure]
            assert row["within"] == pytest.approx(statistics[0][0], abs=1e-9)
            assert row["between"] == pytest.approx(statistics[0][1], abs=1e-9)
            as_high = (differences >= differences[0] - 1e-9).mean()
            assert row["p_value"] == pytest.approx(as_high, abs=1e-12)
            assert (row["n_groups"], row["n_models"], row["n_labelings"]) == (2, 6, 20)
            assert row["smallest_p_value"] == pytest.approx(0.1)


def test_a_report_leads_with_the_groups(dataset: Path, tmp_path: Path) -> None:
    with open_session(dataset, Parameters(groups=GROUPS, n_draws=999)) as session:
        report = read_report(session)
        page = write_report(session, tmp_path).read_text(encoding="utf-8")
        (row,) = session.rows(
            "select * from group_comparison where similarity = 'content' and measure = 'best match'"
        )
    assert report.groups is not None
    assert report.groups.p_value == pytest.approx(row["p_value"])
    assert len(report.groups.pairs) == 15
    # Six models can show nothing at 5 %, and the title says so.
    title = wording.headline(report)
    assert title == (
        "6 models are too few to tell whether one and two differ: no result could fall below "
        "p = 0.10"
    )
    assert page.index(f">{title}</h1>") < page.index("The data or the seed?")
    assert page.index("The data or the seed?") < page.index("What was compared")


def test_groups_are_options_and_what_cannot_be_tested_is_refused(dataset: Path, run: Run) -> None:
    words = [f"--group={name}={','.join(models)}" for name, models in GROUPS]
    outcome = run("sql", dataset, "select count(*) as n from group_comparison", *words, "--json")
    assert outcome.code == 0, outcome.err
    outcome = run("sql", dataset, "select 1", *words, "--pair=a:b")
    assert outcome.code == 2
    assert "pairs of grouped models are not compared" in outcome.err
    for groups, message in (
        ((GROUPS[0],), "one group is none"),
        ((GROUPS[0], ("two", ("d",))), "fewer than two models"),
        ((GROUPS[0], ("one", ("d", "e"))), "named twice"),
        ((GROUPS[0], ("two", ("a", "e"))), "named twice"),
        ((GROUPS[0], ("two", ("d", "x"))), "no model 'x'"),
    ):
        with pytest.raises(InputError, match=message):
            open_session(dataset, Parameters(groups=groups))


def test_without_groups_there_is_no_row(dataset: Path) -> None:
    with open_session(dataset, Parameters(n_draws=999)) as session:
        assert session.rows("select * from group_comparison") == []
        rows = session.rows("select group_a, group_b, mean_best_match from model_similarities")
    assert {(row["group_a"], row["group_b"]) for row in rows} == {(None, None)}
    assert len(rows) == 15 * len(SIMILARITIES)
