"""Intervals of head scores over prompts, against loops that leave each prompt out."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from sql.session import Session, open_session
from tests.support.oracles.statistics import head_scores
from tests.support.running import stored_patterns, token_ids
from tests.support.synthetic import MARKERS, PROMPTS, SyntheticModel, write_synthetic_dataset

_MODEL = SyntheticModel("a", seed=5)
_TASKS = (
    *PROMPTS,
    ("Make tea again", ("Boil the water", "Pour the water", "Pour the tea")),
    # The only prompt in which no token comes again.
    ("Rest", ("Sit down here",)),
)


@pytest.mark.parametrize(
    "pair_ids",
    [("0", "1", "2", "3", "4"), ("0", "1", "0", None, None), ("3", None, None, None, "3")],
    ids=["no-pairs", "a-pair-and-none", "pairs-are-no-prompt-ids"],
)
def test_interval_leaves_each_unit_out(pair_ids: tuple[str | None, ...], tmp_path: Path) -> None:
    path = write_synthetic_dataset(tmp_path / "d", [_MODEL], _TASKS, pair_ids=pair_ids)
    units: dict[object, list[int]] = {}
    for prompt, pair in enumerate(pair_ids):
        units.setdefault(prompt if pair is None else pair, []).append(prompt)
    with open_session(path) as session:
        rows = session.rows("select * from head_scores order by score, layer, head")
        whole = _scores(session, range(len(_TASKS)))
        left_out = [
            _scores(session, [n for n in range(len(_TASKS)) if n not in unit])
            for unit in units.values()
        ]
        own = [_scores(session, unit) for unit in units.values()]
    n_heads = _MODEL.n_layers * _MODEL.n_heads
    assert len(rows) == 14 * n_heads
    for row in rows:
        score, head = row["score"], row["layer"] * _MODEL.n_heads + row["head"]
        if score not in whole:
            assert score in ("own_step", "previous_step", "first_token_again")
            assert row["value"] is None or row["value"] == 0
            continue
        total, number = whole[score]
        assert row["value"] == pytest.approx(total[head] / number, abs=1e-9)
        counted = [unit for unit in range(len(units)) if score in own[unit]]
        assert row["n_units"] == len(counted)
        values = np.array([left_out[n][score][0][head] / left_out[n][score][1] for n in counted])
        n = len(values)
        error = math.sqrt((n - 1) / n * ((values - values.mean()) ** 2).sum())
        reach = error * stats.t.ppf(0.975, n - 1)
        low, high = total[head] / number - reach, total[head] / number + reach
        assert row["low"] == pytest.approx(max(low, 0), abs=1e-9), score
        at_most = math.inf if score in ("entropy", "distance") else 1
        assert row["high"] == pytest.approx(min(high, at_most), abs=1e-9), score


def _scores(session: Session, prompts: range | list[int]) -> dict[str, tuple[np.ndarray, int]]:
    patterns, ids, marks, roles = [], [], [], []
    for prompt in prompts:
        found = np.nan_to_num(stored_patterns(session, "a", prompt))
        patterns.append(found.reshape(-1, *found.shape[2:]))
        ids.append(token_ids(session, "a", prompt))
        words = session.rows(
            "select token from tokens where prompt_id = $n order by position", {"n": prompt}
        )
        marks.append(np.array([word["token"] in MARKERS for word in words]))
        roles.append(["marker" if mark else "step" for mark in marks[-1]])
    return head_scores(patterns, ids, marks, roles, [[None] * len(own) for own in ids])


def test_one_prompt_has_no_interval(tmp_path: Path) -> None:
    path = write_synthetic_dataset(tmp_path / "d", [_MODEL], PROMPTS[:1])
    with open_session(path) as session:
        rows = session.rows("select * from head_scores where n_eligible > 0")
    assert {row["n_units"] for row in rows} == {1}
    assert all(row["value"] is not None for row in rows)
    assert {(row["low"], row["high"]) for row in rows} == {(None, None)}


def test_quantiles_are_those_of_scipy(tmp_path: Path) -> None:
    model = SyntheticModel("a", n_layers=1, n_heads=1)
    path = write_synthetic_dataset(tmp_path / "d", [model], [("a", ("b",))] * 400)
    with open_session(path) as session:
        rows = session.rows("select degrees, quantile from t_quantiles order by degrees")
    assert [row["degrees"] for row in rows] == list(range(1, 401))
    expected = stats.t.ppf(0.975, np.arange(1, 401))
    np.testing.assert_allclose([row["quantile"] for row in rows], expected, rtol=0, atol=1e-9)
