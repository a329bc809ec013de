"""The cluster that the tests on Spark run on: two workers that count, no server beyond them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.services.spark_cluster import SparkCluster

COUNT = """
import sys
from pyspark.sql import SparkSession

spark = SparkSession.builder.master(sys.argv[1]).getOrCreate()
print(spark.range(1000).repartition(4).selectExpr("sum(id) as total").first().total)
spark.stop()
"""

HOLD = """
import sys, time
from pathlib import Path
from tests.support.services.spark_cluster import running_cluster

with running_cluster(Path(sys.argv[1]), n_workers=1) as cluster:
    print(cluster.master.pid, *(worker.pid for worker in cluster.workers), flush=True)
    time.sleep(600)
"""
_PATIENCE = 60.0  # seconds


@pytest.mark.slow
def test_a_driver_in_another_process_counts_on_the_cluster(spark_cluster: SparkCluster):
    done = subprocess.run(
        [sys.executable, "-c", COUNT, spark_cluster.url], capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == "499500"


def test_the_cluster_serves_no_submissions_from_outside(spark_cluster: SparkCluster):
    log = (spark_cluster.folder / "master.log").read_text()
    assert log.count("Registering worker") == 2
    assert "StandaloneRestServer" not in log


def is_java(pid: int) -> bool:
    command = Path(f"/proc/{pid}/cmdline")
    return command.exists() and b"java" in command.read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_the_cluster_ends_with_the_process_that_started_it(tmp_path: Path):
    words = [sys.executable, "-c", HOLD, str(tmp_path / "cluster")]
    (tmp_path / "cluster").mkdir()
    root = Path(__file__).parents[3]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(is_java, pids))
        process.send_signal(signal.SIGTERM)
        assert process.wait() == -signal.SIGTERM  # it ended nothing itself
    deadline = time.monotonic() + _PATIENCE
    while any(map(is_java, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
