"""Ablations, texts and read-outs of a Spark cluster are those of one process, whoever dies."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import pytest

from ingest.dataset.manifest import read_manifest
from ingest.dataset.reader import open_dataset
from tests.support.interrupted import Process, is_complete
from tests.support.running import Run, reference_commands
from tests.support.services.spark_driver import start_driver, wait_for_lines
from tests.support.transfer.shards import assert_equal_rows


@pytest.fixture
def ingested(ingested_reference: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ingested_reference, tmp_path / "dataset"))


@pytest.mark.slow
def test_a_dead_driver_leaves_the_earlier_state(spark_cluster, ingested, tmp_path):
    one, log = Path(shutil.copytree(ingested, tmp_path / "one")), tmp_path / "log.txt"
    asked = ["--ablate=all", "--seeds=2", "--max-new-tokens=64", "--temperature=2"]
    assert Process(["generate", one, *asked], log).wait() == 0, log.read_text()
    words = ["generate", ingested, *asked]
    process = start_driver(spark_cluster, words, log)
    wait_for_lines(ingested / ".generate.jsonl", 6)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    for _ in range(20):  # while what it has started may still be at work
        assert is_complete(ingested)
        assert "generations" not in open_dataset(ingested).manifest.tables
        time.sleep(0.1)
    again = start_driver(spark_cluster, words, log)
    assert again.wait() == 0, log.read_text()
    assert "from an interrupted run" in log.read_text()
    assert_equal_rows(one, ingested, tolerance=1e-6)
    assert is_complete(ingested)
    assert paths_of(ingested) == paths_of(one)
    found = [path.relative_to(ingested).as_posix() for path in ingested.glob("generations/*/*")]
    assert set(found) <= set(paths_of(ingested))
    assert not list(ingested.rglob("*.jsonl"))


def paths_of(dataset: Path) -> list[str]:
    return [entry.path for entry in read_manifest(dataset).files()]


def test_the_rows_are_those_of_one_process(
    ingested, reference_dataset, spark_master, run: Run, tmp_path
):
    for words in reference_commands(ingested, tmp_path):
        outcome = run(*words, "--engine=spark", f"--master={spark_master}")
        assert outcome.code == 0, outcome.err
        assert "files made by" in outcome.err
    assert_equal_rows(reference_dataset, ingested, tolerance=1e-6)
    assert is_complete(ingested)
    assert paths_of(ingested) == paths_of(reference_dataset)


def test_nothing_to_do_starts_no_spark(reference_dataset, run: Run):
    words = ["ablate", reference_dataset, "--engine=spark", "--master=spark://127.0.0.1:1"]
    outcome = run(*words)
    assert (outcome.code, outcome.err) == (0, "")
