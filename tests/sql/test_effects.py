"""Views of what heads do: correlations against scipy, read-outs against plain sums."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ingest.dataset.commit import commit
from ingest.dataset.manifest import read_manifest
from ingest.dataset.relations import STORED_TABLES
from ingest.dataset.writer import write_table
from sql.session import Session, open_session
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

N_PROMPTS = 40


def _rows(
    seed: int, ablation: str, complexities: Sequence[int | None], steps: Sequence[int | None]
) -> list[dict[str, Any]]:
    return [
        {
            "model": "a",
            "prompt_set": "set",
            "sampling": "t1",
            "ablation": ablation,
            "kind": "none" if ablation == "none" else "zero",
            "seed": seed,
            "prompt_key": f"key {number}",
            "prompt_id": None,
            "task": "task",
            "complexity": complexity,
            "prompt": "task",
            "text": "text",
            "steps": None if n_steps is None else ["step"] * n_steps,
            "n_steps": n_steps,
            "n_regulation_steps": None,
            "regulation_phrases": None,
            "n_tokens": 1,
            "is_complete": number % 2 == 0,
        }
        for number, (complexity, n_steps) in enumerate(zip(complexities, steps, strict=True))
    ]


def _session(path: Path, rows: list[dict[str, Any]]) -> Session:
    dataset = write_synthetic_dataset(path / "dataset", [SyntheticModel("a", seed=1)])
    table = STORED_TABLES["generations"]
    entry = write_table(dataset, table.path(0, "a"), table.name, rows, "a")
    commit(dataset, read_manifest(dataset).with_files({table.name: [entry]}))
    return open_session(dataset)


def _drawn(generator: np.random.Generator, high: int) -> list[int]:
    drawn: NDArray[np.int64] = generator.integers(1, high, N_PROMPTS)
    return [int(number) for number in drawn]


@pytest.mark.parametrize("high", [3, 6, 1000], ids=["many ties", "ties", "hardly any"])
def test_spearman_equals_scipys(high: int, tmp_path: Path) -> None:
    generator = np.random.default_rng(high)
    given = {
        (seed, ablation): (_drawn(generator, high), _drawn(generator, high))
        for seed in range(5)
        for ablation in ("none", "L0H1")
    }
    rows = [row for (seed, name), lists in given.items() for row in _rows(seed, name, *lists)]
    with _session(tmp_path, rows) as session:
        found = session.rows("select * from spearman_complexity_steps")
    assert len(found) == 10
    for row in found:
        expected = stats.spearmanr(*given[row["seed"], row["ablation"]]).statistic
        assert abs(row["spearman"] - expected) <= 1e-12
        assert (row["n_prompts"], row["n_complete"]) == (N_PROMPTS, N_PROMPTS // 2)
        assert row["mean_steps"] == pytest.approx(np.mean(given[row["seed"], row["ablation"]][1]))
        assert row["mean_regulation_steps"] is None


def test_an_undefined_spearman_is_null(tmp_path: Path) -> None:
    rising = list(range(1, N_PROMPTS + 1))
    rows = [
        *_rows(0, "none", rising, [4] * N_PROMPTS),
        *_rows(1, "none", [2] * N_PROMPTS, rising),
        *_rows(2, "none", [*rising[:-1], None], [*rising[:-2], None, 3]),
        *_rows(3, "none", [None] * N_PROMPTS, rising),
        *_rows(4, "none", [1, *[None] * (N_PROMPTS - 1)], rising),
    ]
    with _session(tmp_path, rows) as session:
        found = session.rows("select * from spearman_complexity_steps order by seed")
        assert session.rows("select * from spearman_changes") == []
    assert [row["seed"] for row in found] == [0, 1, 2, 4]
    assert [row["spearman"] for row in found] == [None, None, pytest.approx(1), None]
    assert [row["n_prompts"] for row in found] == [40, 40, 38, 1]


@pytest.mark.parametrize(
    ("n_seeds", "n_same"), [(5, 0), (5, 2), (1, 0), (3, 3), (12, 1), (60, 0)], ids=str
)
def test_changes_equal_numpys_median_and_scipys_sign_test(
    n_seeds: int, n_same: int, tmp_path: Path
) -> None:
    generator = np.random.default_rng(n_seeds + n_same)
    rows: list[dict[str, Any]] = []
    before, after = [], []
    for seed in range(n_seeds):
        complexities = _drawn(generator, 6)
        whole, ablated = _drawn(generator, 9), _drawn(generator, 9)
        ablated = whole if seed < n_same else ablated
        rows += [
            *_rows(seed, "none", complexities, whole),
            *_rows(seed, "L1H2", complexities, ablated),
        ]
        before.append(stats.spearmanr(complexities, whole).statistic)
        after.append(stats.spearmanr(complexities, ablated).statistic)
    # Of one seed there is no ablated text, of another no whole one.
    rows += _rows(998, "none", _drawn(generator, 6), _drawn(generator, 9))
    rows += _rows(999, "L1H2", _drawn(generator, 6), _drawn(generator, 9))
    with _session(tmp_path, rows) as session:
        (found,) = session.rows("select * from spearman_changes")
    changes = np.array(after) - np.array(before)
    assert (found["ablation"], found["kind"], found["n_seeds"]) == ("L1H2", "zero", n_seeds)
    assert found["median_before"] == pytest.approx(np.median(before), abs=1e-12)
    assert found["median_after"] == pytest.approx(np.median(after), abs=1e-12)
    assert found["median_change"] == pytest.approx(np.median(changes), abs=1e-11)
    lower, higher = int((changes < -1e-9).sum()), int((changes > 1e-9).sum())
    assert (found["n_lower"], found["n_higher"]) == (lower, higher)
    if lower + higher == 0:
        assert (found["p_sign"], found["smallest_p"]) == (None, None)
        return
    expected = stats.binomtest(lower, lower + higher).pvalue
    assert found["p_sign"] == pytest.approx(expected, rel=1e-10)
    smallest = stats.binomtest(0, lower + higher).pvalue
    assert found["smallest_p"] == pytest.approx(smallest, rel=1e-10)


def test_class_probabilities_are_means_over_step_onsets(reference_session: Session) -> None:
    rows = reference_session.rows(
        "select readouts.model, layer, probability from layer_readouts as readouts "
        "inner join models using (model) "
        "inner join tokens on tokens.tokenizer = models.tokenizer "
        "and tokens.prompt_id = readouts.prompt_id and tokens.position = readouts.position "
        "where token in ('<|steps|>', '<|sep|>')"
    )
    found = reference_session.rows("select * from class_probability_by_layer order by model, layer")
    assert len(found) == 2 * 3
    for number, row in enumerate(found):
        mine = [
            other["probability"]
            for other in rows
            if (other["model"], other["layer"]) == (row["model"], row["layer"])
        ]
        assert row["n_positions"] == len(mine) > 12
        assert row["mean_probability"] == pytest.approx(np.mean(mine), rel=1e-9)
        if row["layer"] == 0:
            assert row["change"] is None
        else:
            before = found[number - 1]["mean_probability"]
            assert row["change"] == pytest.approx(row["mean_probability"] - before, abs=1e-12)
