"""A command on a Spark cluster whose driver is a process of its own, which a test may kill."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.support.interrupted import Process
from tests.support.services.spark_cluster import SparkCluster

_PATIENCE = 300.0  # seconds


def start_driver(cluster: SparkCluster, words: Sequence[object], log: Path) -> Process:
    """Starts `headswap` with the given words, on the cluster."""
    on_spark = ["--engine=spark", f"--master={cluster.url}"]
    return Process([*words, *on_spark], log, partial(_set, cluster.environment))


def _set(environment: dict[str, str]) -> None:
    os.environ.update(environment)


def wait_for_lines(journal: Path, count: int) -> None:
    """Waits until a journal has so many lines: the first is the work, one a file follows."""
    deadline = time.monotonic() + _PATIENCE
    while not journal.is_file() or len(journal.read_text().splitlines()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)
