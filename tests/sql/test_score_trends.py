"""Scores over the checkpoints of a run, against loops over the rows of head_scores."""

from __future__ import annotations

from pathlib import Path

import pytest

from sql.session import open_session
from tests.support.synthetic import (
    PROMPTS,
    SyntheticModel,
    write_synthetic_dataset,
)

_SOURCES = {
    "a0": "org/run@step0",
    "a1000": "org/run@step1000",
    "a1000-again": "org/run@step1000",
    "a64000": "org/run@step64000",
    "b5": "runs/b/checkpoint-5",
    "b20": "runs/b/checkpoint-20",
    "alone": "runs/c/global_step7",
    "final": "org/run",
    "named": "org/step-up",
    "untold": "org/run@main",
}


def _dataset(path: Path, tasks: tuple[tuple[str, tuple[str, ...]], ...] = PROMPTS) -> Path:
    """Models that drift away from those of their seed, one more than the other."""
    models = [
        SyntheticModel(name, seed=ord(name[0]), noise=number / 4, source=source)
        for number, (name, source) in enumerate(_SOURCES.items())
    ]
    return write_synthetic_dataset(path, models, tasks)


def test_checkpoints_are_told_by_their_source(tmp_path: Path) -> None:
    with open_session(_dataset(tmp_path / "d")) as session:
        rows = session.rows("select model, run, step from checkpoints")
    assert {row["model"]: (row["run"], row["step"]) for row in rows} == {
        "a0": ("org/run", 0),
        "a1000": ("org/run", 1000),
        "a1000-again": ("org/run", 1000),
        "a64000": ("org/run", 64000),
        "b5": ("runs/b", 5),
        "b20": ("runs/b", 20),
        "alone": ("runs/c", 7),
    }


def test_trends_equal_loops(tmp_path: Path) -> None:
    with open_session(_dataset(tmp_path / "d", PROMPTS * 4)) as session:
        scores = session.rows("select * from head_scores")
        rows = session.rows("select * from score_trends")
        steps = session.rows("select * from checkpoints order by step, model")
    found = {(row["model"], row["layer"], row["head"], row["score"]): row for row in scores}
    assert len({(row["model"], row["layer"], row["head"], row["score"]) for row in rows}) == len(
        rows
    )
    assert len(rows) == sum(key[0] in {row["model"] for row in steps} for key in found)
    n_emerged, emerged_later = 0, 0
    for row in rows:
        place = (row["layer"], row["head"], row["score"])
        own = [step for step in steps if step["run"] == row["run"]]
        values = [(step["step"], found[step["model"], *place]) for step in own]
        score = found[row["model"], *place]
        assert {key: row[key] for key in ("value", "low", "high")} == {
            key: score[key] for key in ("value", "low", "high")
        }
        first = values[0][1]
        last = next(value for step, value in values if step == values[-1][0])
        assert (row["first_value"], row["last_value"]) == (first["value"], last["value"])
        is_apart = None
        if first["value"] is not None and len(own) > 1:
            is_apart = first["high"] < last["low"] or first["low"] > last["high"]
        assert row["is_changed"] == is_apart
        expected = None
        if is_apart:
            for step in sorted({step for step, _ in values}, reverse=True):
                at_step = [value["value"] for number, value in values if number == step]
                half = (first["value"] + last["value"]) / 2
                if any((v > half) != (last["value"] > half) for v in at_step):
                    break
                expected = step
        assert row["emergence_step"] == expected
        n_emerged += expected is not None
        emerged_later += expected == 64000
    assert n_emerged > emerged_later > 0


def test_a_run_without_checkpoints_has_no_trend(tmp_path: Path) -> None:
    path = write_synthetic_dataset(tmp_path / "d", [SyntheticModel("a")])
    with open_session(path) as session:
        assert session.rows("select * from score_trends") == []


@pytest.mark.parametrize("run", ["runs/c", "runs/b"])
def test_one_checkpoint_or_one_prompt_shows_no_change(run: str, tmp_path: Path) -> None:
    with open_session(_dataset(tmp_path / "d", PROMPTS[:1])) as session:
        rows = session.rows("select * from score_trends where run = $run", {"run": run})
    assert rows
    assert {(row["is_changed"], row["emergence_step"]) for row in rows} == {(None, None)}
