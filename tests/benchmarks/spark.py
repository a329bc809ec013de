"""Both engines on the same queries: rows of several numbers, one and two workers, start-up.

`python -m tests.benchmarks.spark --rows 8 40 380` prints a table in Markdown. Workers of Spark are
processes of one core each; DuckDB has as many threads.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from sql.engines.engine import EngineChoice
from sql.session import open_session
from tests.benchmarks.queries import ANALYSIS, ONE_HEAD, SCAN, drawn_dataset
from tests.support.services.spark_cluster import SparkCluster, running_cluster

_QUERIES = {"a scan of all weights": SCAN, "one head": ONE_HEAD, "the whole analysis": ANALYSIS}
_HEADER = "| rows | query | cores | DuckDB | Spark | Spark over DuckDB |\n|---|---|---|---|---|---|"
_MEMORY = {"spark.executor.memory": "1g", "spark.driver.memory": "1g"}


def main() -> None:
    """Prints the table, a row as soon as it is measured."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.spark", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[8, 40], help="in millions")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=2, help="of each query, the best counts")
    parser.add_argument("--folder", type=Path, help="for datasets (default: a temporary one)")
    arguments = parser.parse_args()
    print(_HEADER, flush=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        for millions in arguments.rows:
            dataset = drawn_dataset(Path(name) / str(millions), millions * 1_000_000)
            for n_workers in arguments.workers:
                for row in _compared(dataset, n_workers, arguments.rounds, Path(name)):
                    print(f"| {millions} M {row}", flush=True)
            shutil.rmtree(dataset)
        print(f"\n{_start_up(Path(name), arguments.rounds)}", flush=True)


def _compared(dataset: Path, n_workers: int, rounds: int, folder: Path) -> Iterator[str]:
    """A row a query: seconds of either engine on so many cores, nothing of it kept from before."""
    with _cluster(folder, n_workers) as cluster:
        for what, query in _QUERIES.items():
            seconds = [
                min(_seconds(dataset, query, engine, n_workers) for _ in range(rounds))
                for engine in (EngineChoice(), EngineChoice("spark", cluster.url))
            ]
            ratio = seconds[1] / seconds[0]
            shown = " | ".join(f"{value:.2f} s" for value in seconds)
            yield f"| {what} | {n_workers} | {shown} | {ratio:.1f} |"


@contextmanager
def _cluster(folder: Path, n_workers: int) -> Iterator[SparkCluster]:
    """A cluster, of which this process is a driver meanwhile."""
    from ingest.kernel.spark_start import start_spark

    place = Path(tempfile.mkdtemp(prefix="cluster-", dir=folder))
    with running_cluster(place, n_workers, settings=_MEMORY, memory="1100m") as cluster:
        before = dict(os.environ)
        os.environ.update(cluster.environment)
        _, stop = start_spark(cluster.url)
        try:
            yield cluster
        finally:
            stop()
            os.environ.clear()
            os.environ.update(before)


def _seconds(dataset: Path, query: str, engine: EngineChoice, n_cores: int) -> float:
    shutil.rmtree(dataset / "views", ignore_errors=True)
    if engine.name != "duckdb":
        return _asked(dataset, query, engine)
    # In a process that has so many cores from its start: libraries count them as they are loaded,
    # and more threads than cores wait for one another.
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(cores)[:n_cores]))
    try:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            return pool.submit(_asked, dataset, query, engine).result()
    finally:
        os.sched_setaffinity(0, cores)


def _asked(dataset: Path, query: str, engine: EngineChoice) -> float:
    with open_session(dataset, engine=engine) as session:
        session.rows("select count(*) from models")  # executors are there, classes are loaded
        began = time.perf_counter()
        session.rows(query)
        return time.perf_counter() - began


def _start_up(folder: Path, rounds: int) -> str:
    """From the command's start to its end, of a query that reads next to nothing."""
    dataset = drawn_dataset(folder / "small", 200_000)
    found = []
    for engine in ("duckdb", "spark"):
        command = [sys.executable, "-m", "headswap", "sql", str(dataset), "select 1 as n"]
        command += [f"--engine={engine}"]
        times = []
        for _ in range(rounds):
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - began)
        found.append(min(times))
    return f"Start-up: DuckDB {found[0]:.2f} s, Spark on this machine's cores {found[1]:.2f} s."


if __name__ == "__main__":
    main()
