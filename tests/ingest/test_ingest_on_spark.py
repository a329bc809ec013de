"""An ingest on a Spark cluster equals that of one process, whoever dies on the way."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from ingest.dataset.manifest import read_manifest
from ingest.dataset.reader import open_dataset
from ingest.kernel.errors import HeadswapError
from ingest.models.options import LoadOptions
from ingest.models.source import ModelSource
from ingest.producers.attention import JOURNAL_NAME
from ingest.producers.attention_on_spark import AttentionJob
from ingest.producers.on_spark import OnSpark, running
from ingest.producers.spark_worker import make
from tests.support.interrupted import Process, is_complete
from tests.support.running import REFERENCE, Run
from tests.support.services.spark_cluster import SparkCluster
from tests.support.services.spark_driver import start_driver, wait_for_lines
from tests.support.transfer.shards import assert_equal_rows

_N_PROMPTS = 16  # one a file: time enough for somebody to die


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prompts") / "p.jsonl"
    steps = ["boil water", "pour it", "wait a while"]
    records = [
        {"pair_id": n, "variant": "standard", "task": f"Tea {n}", "steps": steps[: n % 3 + 1]}
        for n in range(_N_PROMPTS)
    ]
    path.write_text("\n".join(map(json.dumps, records)))
    return path


def ingest_words(prompts: Path, out: Path, *names: str) -> list[str]:
    models = [f"--model={name}={REFERENCE / name}" for name in names]
    return ["ingest", *models, f"--prompts={prompts}", "--out", str(out)]


@pytest.fixture(scope="module")
def one_process(prompts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an ingest without Spark makes."""
    out = tmp_path_factory.mktemp("one") / "dataset"
    process = Process(ingest_words(prompts, out, "standard", "adhd"), out.parent / "log.txt")
    assert process.wait() == 0, process.log.read_text()
    return out


def wait_for_files(out: Path, model: str, count: int) -> None:
    """Waits until so many files of a model are done, in the middle of its ingest."""
    wait_for_lines(out / "attention" / model / JOURNAL_NAME, count + 1)


def executors_of(cluster: SparkCluster) -> list[int]:
    """The processes of executors: of what workers have started, not what only prepares them."""
    found = []
    for worker in cluster.workers:
        tasks = Path(f"/proc/{worker.pid}/task").iterdir()
        found += [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    return [pid for pid in found if is_executor(pid)]


def is_executor(pid: int) -> bool:
    try:
        return b"CoarseGrainedExecutorBackend" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


def test_the_dataset_is_that_of_one_process(spark_cluster, prompts, one_process, tmp_path):
    out = tmp_path / "dataset"
    process = start_driver(
        spark_cluster, ingest_words(prompts, out, "standard", "adhd"), tmp_path / "log.txt"
    )
    assert process.wait() == 0, process.log.read_text()
    assert_equal_rows(one_process, out, tolerance=1e-6)
    assert is_complete(out)
    paths = [[entry.path for entry in read_manifest(path).files()] for path in (one_process, out)]
    assert paths[0] == paths[1]
    # Jobs outnumber the processes that did them: each loaded a model once and served many.
    counts = [
        int(n)
        for n in re.findall(rf"{_N_PROMPTS} files made by (\d+) workers", process.log.read_text())
    ]
    assert len(counts) == 2
    assert all(1 <= count <= 2 for count in counts)


@pytest.mark.slow
def test_a_dead_executor_loses_nothing(spark_cluster, prompts, one_process, tmp_path):
    out = tmp_path / "dataset"
    words = ingest_words(prompts, out, "standard", "adhd")
    process = start_driver(spark_cluster, words, tmp_path / "log.txt")
    wait_for_files(out, "standard", 6)
    # On a busy machine one may have made the first files before the other was there.
    executors = executors_of(spark_cluster)
    assert executors
    os.kill(executors[0], signal.SIGKILL)
    n_done = len((out / "attention/standard" / JOURNAL_NAME).read_text().splitlines()) - 1
    assert 6 <= n_done < _N_PROMPTS
    assert process.wait() == 0, process.log.read_text()
    assert_equal_rows(one_process, out, tolerance=1e-6)
    assert is_complete(out)
    names = {path.name for path in out.rglob("attention/*/*")}
    assert names == {f"part-{number:05}.parquet" for number in range(_N_PROMPTS)}


@pytest.mark.slow
def test_a_dead_driver_leaves_the_earlier_state(spark_cluster, prompts, one_process, tmp_path):
    out, log = tmp_path / "dataset", tmp_path / "log.txt"
    assert Process(ingest_words(prompts, out, "standard"), log).wait() == 0
    words = ingest_words(prompts, out, "standard", "adhd")
    process = start_driver(spark_cluster, words, log)
    wait_for_files(out, "adhd", 6)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    for _ in range(20):  # while what it has started may still be at work
        assert is_complete(out)
        assert [model.name for model in open_dataset(out).manifest.models] == ["standard"]
        time.sleep(0.1)
    again = start_driver(spark_cluster, words, log)
    assert again.wait() == 0, log.read_text()
    assert "from an interrupted run" in log.read_text()
    assert_equal_rows(one_process, out, tolerance=1e-6)
    assert is_complete(out)


def job_of(tmp_path: Path, weights_sha256: str, *token_ids: int) -> AttentionJob:
    """A file of one prompt of `standard`."""
    return AttentionJob(
        folder=str(tmp_path),
        source=ModelSource("standard", str(REFERENCE / "standard")),
        options=LoadOptions(),
        weights_sha256=weights_sha256,
        out=str(tmp_path),
        path="attention/standard/part-00000.parquet",
        prompt_ids=(0,),
        token_ids=(token_ids,),
        width=len(token_ids),
    )


@pytest.mark.slow
def test_a_bug_in_a_worker_is_named_and_python_goes_on(spark_master, one_process, tmp_path):
    (entry, *_) = read_manifest(one_process).models
    job = job_of(tmp_path, str(entry.weights_sha256), 1, 10**9)
    with running(OnSpark(spark_master)) as cluster:
        assert cluster is not None
        with pytest.raises(HeadswapError) as refused:
            list(cluster.files("standard", [job]))
    # As PyTorch says it, and not the Java that waited for it.
    said = f"Spark could not make {job.path}: IndexError: index out of range in self"
    assert str(refused.value) == said
    assert not list(tmp_path.rglob("*.parquet*"))


def test_a_worker_refuses_other_weights(tmp_path):
    made = make(job_of(tmp_path, "0" * 64, 1, 2, 3))
    assert made.entry is None
    assert "has other weights here" in made.message
    assert not list(tmp_path.rglob("*.parquet*"))


def test_a_master_without_spark_is_refused(prompts, tmp_path, run: Run):
    words = ingest_words(prompts, tmp_path / "out", "standard")
    outcome = run(*words, "--master=spark://127.0.0.1:7077")
    assert outcome.code == 2
    assert outcome.err.splitlines() == [
        "headswap: --master is for Spark alone",
        "Hint: add --engine spark",
    ]
    assert not (tmp_path / "out").exists()


def test_a_master_that_does_not_answer_is_named(prompts, tmp_path, run: Run):
    words = ingest_words(prompts, tmp_path / "out", "standard")
    outcome = run(*words, "--engine=spark", "--master=spark://127.0.0.1:1")
    assert outcome.code == 1
    assert "no Spark master answers at spark://127.0.0.1:1" in outcome.err
