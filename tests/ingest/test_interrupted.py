"""An ingest that is killed, interrupted, run twice at once or out of room loses nothing."""

from __future__ import annotations

import random
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from ingest import pipeline
from ingest.dataset.lock import LOCK_NAME, writing
from ingest.kernel.errors import HeadswapError
from ingest.producers import attention
from tests.support.interrupted import (
    Process,
    content,
    die_after,
    ingest_words,
    interrupt_at,
    is_complete,
    kill_and_resume,
    race,
)
from tests.support.running import Run


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "dataset"
    log = out.parent / "log.txt"
    assert Process(ingest_words(out), log).wait() == 0, log.read_text()
    assert len(list(out.rglob("part-*.parquet"))) == 10
    return out


@pytest.mark.parametrize("number", range(4))
def test_a_killed_ingest_goes_on_to_the_same_bytes(
    number: int, undisturbed: Path, tmp_path: Path
) -> None:
    """A shorter version of `python -m tests.support.interrupted 100 20 10`."""
    out = tmp_path / "dataset"
    delay = random.Random(number).uniform(0.05, 3.0)
    kill_and_resume(out, tmp_path / "log.txt", delay)
    assert content(out) == content(undisturbed)


@pytest.mark.parametrize("n_files", [0, 3, 8])
def test_files_that_were_done_are_not_made_again(
    n_files: int, undisturbed: Path, tmp_path: Path
) -> None:
    out, log = tmp_path / "dataset", tmp_path / "log.txt"
    process = Process(ingest_words(out), log, partial(die_after, n_files))
    assert process.wait() == -signal.SIGKILL
    done = {path: path.stat().st_mtime_ns for path in out.rglob("part-*.parquet")}
    assert len(done) == n_files
    assert not is_complete(out)
    assert Process(ingest_words(out), log).wait() == 0, log.read_text()
    assert content(out) == content(undisturbed)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert ("from an interrupted run" in log.read_text()) == bool(done)


def test_what_other_weights_left_is_not_taken_over(undisturbed: Path, tmp_path: Path) -> None:
    out, log = tmp_path / "dataset", tmp_path / "log.txt"
    other = [word.replace("=standard=", "=adhd=") for word in ingest_words(out, ["standard"])]
    assert "--model=adhd=" in " ".join(other)
    process = Process(other, log, partial(die_after, 2))
    assert process.wait() == -signal.SIGKILL
    assert Process(ingest_words(out), log).wait() == 0, log.read_text()
    assert "from an interrupted run" not in log.read_text()
    assert content(out) == content(undisturbed)


def test_a_damaged_leftover_is_made_again(undisturbed: Path, tmp_path: Path) -> None:
    out, log = tmp_path / "dataset", tmp_path / "log.txt"
    assert Process(ingest_words(out), log, partial(die_after, 4)).wait() == -signal.SIGKILL
    path = min(out.rglob("part-*.parquet"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    journal = next(out.rglob(attention.JOURNAL_NAME))
    journal.write_text(journal.read_text() + '{"half a li')
    assert Process(ingest_words(out), log).wait() == 0, log.read_text()
    assert content(out) == content(undisturbed)


def test_ctrl_c_stops_and_says_how_to_go_on(undisturbed: Path, tmp_path: Path) -> None:
    out, log = tmp_path / "dataset", tmp_path / "log.txt"
    assert Process(ingest_words(out), log, partial(interrupt_at, 1)).wait() == 130
    assert log.read_text().splitlines()[-2:] == [
        "headswap: interrupted",
        "Hint: run the same command again, it goes on where it stopped",
    ]
    assert not list(out.rglob("*.partial"))
    assert Process(ingest_words(out), log).wait() == 0, log.read_text()
    assert content(out) == content(undisturbed)


def test_a_dataset_that_is_being_written_takes_no_second_writer(
    undisturbed: Path, tmp_path: Path, run: Run
) -> None:
    out, log = tmp_path / "dataset", tmp_path / "log.txt"
    assert Process(ingest_words(out), log).wait() == 0
    held = Process([], log, partial(_hold, out, tmp_path / "held"))
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    try:
        outcome = run(*ingest_words(out))
        assert outcome.code == 1
        assert f"another ingest is writing to {out}" in outcome.err
        assert len(outcome.err.splitlines()) <= 3
    finally:
        held.kill()
        held.wait()
    # The process that held the lock is dead, and its lock with it.
    assert (out / LOCK_NAME).exists()
    assert run(*ingest_words(out)).code == 0
    assert content(out) == content(undisturbed)


def _hold(out: Path, sign: Path) -> None:
    with writing(out):
        sign.touch()
        time.sleep(600)


@pytest.mark.parametrize("number", range(3))
def test_of_two_ingests_at_once_one_wins(number: int, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "dataset"
    race(out)
    assert content(out) == content(undisturbed)


def test_a_disk_without_room_is_told_before_the_first_row(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "_BYTES_A_ROW", {"float32": 1e15})
    outcome = run(*ingest_words(tmp_path / "dataset"))
    assert outcome.code == 1
    assert "rows need about" in outcome.err
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_lock_that_the_file_system_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "dataset" / LOCK_NAME).mkdir(parents=True)
    with pytest.raises(HeadswapError, match="cannot lock"), writing(tmp_path / "dataset"):
        pass


def test_half_written_files_do_not_stop_the_next_ingest(tmp_path: Path) -> None:
    """What is left where an ingest is killed while it writes any of its files but the rows."""
    out, log = tmp_path / "dataset", tmp_path / "log.txt"
    out.mkdir()
    for name in ("README.md", "models.parquet", "tokens.parquet", "manifest.json"):
        (out / f"{name}.partial").write_text("half")
    assert Process(ingest_words(out), log).wait() == 0, log.read_text()
    assert is_complete(out)
    assert not list(out.glob("*.partial"))
