"""A standalone Spark cluster on 127.0.0.1: a master and its workers, each a process of its own."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.services.with_parent import with_parent

# A machine that is busy with other work starts a Java process in many seconds.
TIMEOUT_SECONDS = 300.0

# Small enough that all of it fits into 2 GB. Every program that is started with the cluster's
# environment reads them, as it would those of an institution's cluster.
DEFAULTS = {
    "spark.master.rest.enabled": "false",
    "spark.driver.memory": "700m",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.executor.memory": "512m",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # Tables of a few thousand rows: each partition more is a task more, of no use.
    "spark.sql.shuffle.partitions": "2",
    "spark.default.parallelism": "2",
    # What a plan broadcasts is held by the driver and by every executor.
    "spark.sql.autoBroadcastJoinThreshold": "2m",
}
_PACKAGE = "org.apache.spark.deploy"


@dataclass(frozen=True)
class SparkCluster:
    """A running cluster.

    url: the master's address, as --master takes it. environment: what a program needs to use it.
    workers: the processes that start the executors, which are their children.
    """

    url: str
    environment: dict[str, str]
    master: subprocess.Popen[bytes]
    workers: tuple[subprocess.Popen[bytes], ...]
    folder: Path


@contextmanager
def running_cluster(
    folder: Path,
    n_workers: int = 2,
    memory: str = "600m",
    settings: Mapping[str, str] | None = None,
) -> Iterator[SparkCluster]:
    """Starts a cluster and ends it with all that it started.

    folder: for its logs and its work. memory: of a worker, which has one core. settings: beside
    DEFAULTS, or in place of them.
    """
    if shutil.which("java") is None:
        pytest.fail(
            "there is no java on PATH. "
            "Hint: install Java 17, for instance by `apt-get install openjdk-17-jre-headless`"
        )
    environment = _environment(folder, DEFAULTS | dict(settings or {}))
    started: list[subprocess.Popen[bytes]] = []
    try:
        master_log = folder / "master.log"
        # Port 0 is a free one, which the log names.
        words = ["master.Master", "--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
        started.append(_start(words, environment, master_log))
        (url,) = _wait_for(r"Starting Spark master at (spark://\S+)", 1, master_log, started)
        sizes = ["--cores", "1", "--memory", memory]
        places = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
        for number in range(n_workers):
            words = ["worker.Worker", *places, *sizes, url]
            started.append(_start(words, environment, folder / f"worker-{number}.log"))
        _wait_for(r"Registering worker (\S+)", n_workers, master_log, started)
        yield SparkCluster(url, environment, started[0], tuple(started[1:]), folder)
    finally:
        for process in reversed(started):
            _end(process)


def _environment(folder: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Variables under which Spark keeps to 127.0.0.1 and to the folder."""
    package = importlib.util.find_spec("pyspark")
    places = package.submodule_search_locations if package else None
    if not places:
        pytest.fail("pyspark is not installed. Hint: run the tests by `make test`")
    configuration = folder / "conf"
    configuration.mkdir(parents=True)
    lines = [f"{name} {value}\n" for name, value in settings.items()]
    (configuration / "spark-defaults.conf").write_text("".join(lines), encoding="utf-8")
    return {
        "SPARK_HOME": places[0],
        "SPARK_CONF_DIR": str(configuration),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_LOCAL_DIRS": str(folder / "local"),
        "SPARK_WORKER_DIR": str(folder / "work"),
        "PYSPARK_PYTHON": sys.executable,
    }


def _start(words: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Starts one of Spark's programs in a group of processes of its own, which ends with ours."""
    program = Path(environment["SPARK_HOME"], "bin", "spark-class")
    with log.open("wb") as file:
        return subprocess.Popen(
            with_parent([str(program), f"{_PACKAGE}.{words[0]}", *words[1:]]),
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait_for(
    pattern: str, count: int, log: Path, processes: list[subprocess.Popen[bytes]]
) -> list[str]:
    """Waits until a log has the pattern so many times; returns what it matched."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        text = log.read_text(errors="replace")
        found = re.findall(pattern, text)
        if len(found) >= count:
            return found
        assert all(process.poll() is None for process in processes), f"Spark has ended: {text}"
        assert time.monotonic() < deadline, f"never in the log: {pattern}; {text}"
        time.sleep(0.1)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process; a worker ends its executors, and what is left of its group is killed."""
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # nothing was left
