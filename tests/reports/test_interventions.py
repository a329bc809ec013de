"""Estimates, pairs and generated texts on the page of effects: the rows' numbers, all of them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape

import headswap
from ingest.kernel.text import printable
from reports.data.effects import Effects, read_effects
from reports.data.interventions import intervention_wording
from reports.data.queries import read_reference
from reports.site.pages import write_report
from sql.session import Session, open_session


@pytest.fixture(scope="module")
def session(reference_dataset: Path) -> Iterator[Session]:
    with open_session(reference_dataset) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(session: Session, tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(session, tmp_path_factory.mktemp("interventions"))


@pytest.fixture(scope="module")
def effects(session: Session) -> Effects:
    found = read_effects(session, read_reference(session).head, ["adhd"])
    assert found is not None
    return found


def page_of(session: Session, out: Path) -> str:
    return (write_report(session, out).parent / "effects.html").read_text(encoding="utf-8")


def layers_in(page: str, chart: str) -> list[list[dict[str, Any]]]:
    """The data sets of a chart."""
    found = re.search(rf'id="{chart}-spec">(.*?)</script>', page)
    assert found
    return list(json.loads(found[1])["datasets"].values())


def table_in(page: str, attributes: str) -> str:
    found = re.search(rf"<table {attributes}>.*?</table>", page, re.DOTALL)
    assert found
    return found[0]


def numbers_in(text: str) -> list[float]:
    return [float(value) for value in re.findall(r'<data value="(.+?)">', text)]


@pytest.mark.parametrize("model", ["standard", "adhd"])
def test_agreement_is_that_of_the_rows(
    model: str, session: Session, effects: Effects, page: str
) -> None:
    (row,) = session.rows(
        "select * from attribution_agreement where model = $model and kind = 'zero'",
        {"model": model},
    )
    text = f"{model}: estimates and exact effects of 12 heads correlate at {row['correlation']:.2f}"
    number = [(found.kind, found.model) for found in effects.estimated].index(("zero", model))
    assert text.replace("-", "−") == intervention_wording.agreement_sentence(
        effects.estimated[number]
    )
    assert f"{row['n_same_sign']} of 12 have the same sign" in page
    points = next(rows for rows in layers_in(page, f"agreement_{number}") if "name" in rows[0])
    exact = session.rows(
        "select layer, head, mean_delta_loss_nats as value from ablation_ranking "
        "where model = $model and kind = 'zero'",
        {"model": model},
    )
    estimated = session.rows(
        "select layer, head, mean_estimated_delta_loss_nats as value from attribution_ranking "
        "where model = $model and kind = 'zero'",
        {"model": model},
    )
    for name, rows in (("exact", exact), ("estimate", estimated)):
        expected = {f"L{row['layer']}H{row['head']}": row["value"] for row in rows}
        assert {point["name"]: point[name] for point in points} == pytest.approx(expected, abs=1e-6)


def test_estimates_without_an_exact_sweep_are_ranked(session: Session, page: str) -> None:
    """The kinds mean and resample of the dataset are estimated only."""
    for kind in ("mean", "resample"):
        rows = session.rows(
            "select * from attribution_ranking where model = 'adhd' and kind = $kind "
            "order by rank limit 10",
            {"kind": kind},
        )
        expected = [
            value
            for row in rows
            for value in (row["mean_estimated_delta_loss_nats"], row["low"], row["high"])
        ]
        shown = numbers_in(table_in(page, f'data-estimated="adhd" data-kind="{kind}"'))
        assert shown == pytest.approx(expected, abs=1e-6)
    assert "adhd: no estimated head was ablated as well (kind mean)" in page


def test_pairs_are_listed_by_interaction(session: Session, page: str) -> None:
    rows = session.rows(
        "select * from pair_interactions where model = 'standard' "
        "order by abs(interaction_nats) desc"
    )
    assert len(rows) == 2
    names = (
        *("mean_joint_delta_loss_nats", "mean_sum_of_singles_nats", "interaction_nats"),
        *("low", "high"),
    )
    table = table_in(page, 'data-pairs="standard" data-kind="zero"')
    expected = [row[name] for row in rows for name in names]
    assert numbers_in(table) == pytest.approx(expected, abs=1e-6)
    heads = [f"L{r['layer_a']}H{r['head_a']}, L{r['layer_b']}H{r['head_b']}" for r in rows]
    named = re.findall(r'<th scope="row">(.+?)</th>', table)
    assert [re.sub("<[^>]+>", "", name) for name in named] == heads


def test_interactions_are_told_by_their_interval(effects: Effects) -> None:
    pair = effects.pairs[0].strongest[0]
    told = {
        intervention_wording.interaction_text(replace(pair, interaction_nats=v, low=a, high=b))
        for v, a, b in ((0.2, 0.1, 0.3), (0.2, -0.1, 0.5), (0.2, None, None))
    }
    assert told == {"make up for each other", "not told from 0"}
    below = replace(pair, interaction_nats=-0.2, low=-0.3, high=-0.1)
    assert intervention_wording.interaction_text(below) == "share one effect"


def test_seeds_before_and_after_are_those_of_the_rows(
    session: Session, effects: Effects, page: str
) -> None:
    rows = session.rows("select * from spearman_complexity_steps where spearman is not null")
    by_place = {(row["model"], row["ablation"], row["seed"]): row["spearman"] for row in rows}
    assert effects.seed_changes
    for number, change in enumerate(effects.seed_changes):
        model, name = change.ablated.model, change.ablated.ablation
        (points,) = layers_in(page, f"seeds_{number}")
        drawn = {(point["seed"], point["state"]): point["correlation"] for point in points}
        expected = {
            (seed, "whole" if ablation == "none" else f"without {ablation}"): value
            for (of, ablation, seed), value in by_place.items()
            if of == model and ablation in ("none", name)
        }
        seeds = {seed for seed, _ in drawn}
        assert drawn == pytest.approx(
            {place: value for place, value in expected.items() if place[0] in seeds}, abs=1e-6
        )
        (row,) = session.rows(
            "select * from spearman_changes where model = $model", {"model": model}
        )
        assert len(seeds) == row["n_seeds"]
        title = intervention_wording.seeds_title(change)
        change_text = f"{row['median_change']:+.2g}".replace("-", "−")
        assert f"{model} without {name}: median change {change_text} over" in title
        if row["p_sign"] is not None:
            assert f"smallest possible {row['smallest_p']:.2g})" in title
        assert str(escape(intervention_wording.whole_sentence(change))) in page


def test_examples_are_texts_of_the_rows(session: Session, effects: Effects, page: str) -> None:
    assert {example.model for example in effects.examples} == {"standard", "adhd"}
    for example in effects.examples:
        for ablation, steps in (("none", example.before), (example.ablation, example.after)):
            rows = session.rows(
                "select steps, complexity from generations where model = $model and "
                "ablation = $ablation and seed = $seed and task = $task",
                {
                    "model": example.model,
                    "ablation": ablation,
                    "seed": example.seed,
                    "task": example.prompt,
                },
            )
            assert [tuple(map(printable, row["steps"])) for row in rows] == [steps]
            assert rows[0]["complexity"] == example.complexity == 3
            assert str(escape(" · ".join(steps))) in page


def test_only_estimates_make_a_page(ingested_reference: Path, tmp_path: Path) -> None:
    dataset = Path(shutil.copytree(ingested_reference, tmp_path / "dataset"))
    assert headswap.main(["ablate", str(dataset), "--method=attribution"]) == 0
    with open_session(dataset) as session:
        page = page_of(session, tmp_path / "page")
    assert 'data-estimated="standard" data-kind="zero"' in page
    assert "<code>headswap ablate DATASET</code> makes them" in page
    assert "<code>headswap ablate --pairs HEAD+HEAD DATASET</code> makes them" in page
