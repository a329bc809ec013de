"""Files made on a Spark cluster: each is a job, which a worker's model makes.

Files are made under names that carry the attempt, so that a worker that outlives its executor, or
runs a second time, writes over nothing. The driver gives the first that is done its own name and
notes it in the journal; it alone writes the manifest, last.
"""

from __future__ import annotations

import os
import sys
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ingest.dataset.manifest import FileEntry
from ingest.kernel.errors import HeadswapError
from ingest.kernel.files import writing_to
from ingest.kernel.spark_start import spark_errors, start_spark

# Jobs in flight. Spark queues what it has no slot for, and says too late how many slots there are.
_MOST_AT_ONCE = 256


@dataclass(frozen=True)
class OnSpark:
    """Where models run. master: None for the one of Spark's own configuration."""

    master: str | None = None


@dataclass(frozen=True)
class Job(ABC):
    """One file to be made, with all that a worker needs for it.

    folder: where the command was run, from which the source may be named; out: the dataset;
    path: of the file below it.
    """

    folder: str
    out: str
    path: str

    @abstractmethod
    def file(self, path: str) -> FileEntry:
        """Makes the file under another path below the dataset; called in a worker."""


@dataclass(frozen=True)
class Made:
    """What a worker made of a job: the file under the attempt's name, or why there is none.

    worker: its machine and process.
    """

    worker: str
    entry: FileEntry | None = None
    message: str = ""
    hint: str | None = None


@contextmanager
def running(spark: OnSpark | None) -> Iterator[Cluster | None]:
    """Yields the cluster, None where no Spark is asked for, and ends its Spark with the block."""
    with ExitStack() as stack:
        yield Cluster(spark.master, stack) if spark else None


class Cluster:
    """A cluster that does jobs. Spark starts with the first of them, and ends with `stack`."""

    def __init__(self, master: str | None, stack: ExitStack) -> None:
        self._master, self._stack = master, stack
        self._context: Any = None

    def files(self, model: str, jobs: Sequence[Job]) -> Iterator[FileEntry]:
        """Has jobs of a model done, and gives the entry of each file once it has its name.

        Raises: HeadswapError where one cannot be done.
        """
        if not jobs:
            return
        context, group = self._started(), uuid.uuid4().hex
        workers = set()
        pool = ThreadPoolExecutor(min(len(jobs), _MOST_AT_ONCE))
        try:
            futures = {pool.submit(_run, context, group, job): job for job in jobs}
            for future in as_completed(futures):
                made, job = future.result(), futures[future]
                if made.entry is None:
                    raise HeadswapError(f"{made.worker}: {made.message}", hint=made.hint)
                workers.add(made.worker)
                yield _put_in_place(Path(job.out), made.entry, job.path)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            with suppress(*spark_errors()):  # a Java process that has died has nothing to cancel
                context.cancelJobGroup(group)
            raise
        pool.shutdown()
        print(f"{model}: {len(jobs)} files made by {len(workers)} workers", file=sys.stderr)

    def _started(self) -> Any:
        if self._context is None:
            # Workers run the Python that has headswap, and not the first on their path.
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
            session, stop = start_spark(self._master)
            self._stack.callback(stop)
            self._context = session.sparkContext
        return self._context


def _run(context: Any, group: str, job: Job) -> Made:
    """Has one job done, as often as Spark tries it. group: of the jobs that are cancelled together.

    Raises: HeadswapError where Spark gives up.
    """
    from ingest.producers.spark_worker import make

    try:
        context.setJobGroup(group, job.path)  # of this thread
        (made,) = context.parallelize([job], 1).map(make).collect()
    except spark_errors() as error:
        raise HeadswapError(
            f"Spark could not make {job.path}: {_reason(error)}",
            hint="run the same command again, it goes on where it stopped; the executors' logs "
            "say more",
        ) from error
    else:
        found: Made = made
        return found


def _reason(error: Exception) -> str:
    """The last line that names an error, of those of Python's that stand in Java's message."""
    java = getattr(error, "java_exception", None)
    text = str(java.getMessage() if java is not None else error)
    lines = [line.strip() for line in text.splitlines()]
    said = [line for line in lines if line and not line.startswith(("at ", "Driver stacktrace"))]
    named = [line for line in said if "Error" in line or "Exception" in line]
    return " ".join((named or said or [type(error).__name__])[-1].split())


def _put_in_place(out: Path, attempt: FileEntry, path: str) -> FileEntry:
    """Gives the file of an attempt the name that the manifest will have."""
    with writing_to(out / path):
        (out / attempt.path).replace(out / path)
    return replace(attempt, path=path)
