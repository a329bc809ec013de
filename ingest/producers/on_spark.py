"""Attention captured on a Spark cluster: each file is a job, which a worker's model makes.

Files are made under names that carry the attempt, so that a worker that outlives its executor, or
runs a second time, writes over nothing. The driver gives the first that is done its own name and
notes it in the journal; it alone writes the manifest, last.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.dataset.manifest import FileEntry
from ingest.kernel.errors import HeadswapError
from ingest.kernel.files import writing_to
from ingest.models.options import LoadOptions
from ingest.models.source import ModelSource

if TYPE_CHECKING:
    from ingest.producers.attention import Capture, Captured, Part

# Jobs in flight for each slot of the cluster: while one ends, the next waits there already.
_JOBS_A_SLOT = 2


@dataclass(frozen=True)
class OnSpark:
    """Where attention is captured. master: None for the one of Spark's own configuration."""

    master: str | None = None

    @contextmanager
    def captured(
        self, sources: Sequence[ModelSource], options: LoadOptions | None
    ) -> Iterator[Captured]:
        """Yields what makes files of parts on the cluster, for `write_attention`.

        Spark starts with the first file that is to be made, and ends with the block.

        sources: of the models that may come; options: how they are loaded.
        """
        by_name = {source.name: source for source in sources}
        with ExitStack() as stack:
            context: list[Any] = []

            def capture_on_spark(capture: Capture, parts: Sequence[Part]) -> Iterator[FileEntry]:
                if parts and not context:
                    context.append(self._started(stack))
                source = by_name[capture.model.name]
                jobs = [_job(capture, source, options or LoadOptions(), part) for part in parts]
                return _made_on(context[0], capture, jobs) if jobs else iter(())

            yield capture_on_spark

    def _started(self, stack: ExitStack) -> Any:
        from ingest.kernel.spark_start import start_spark

        # Workers run the Python that has headswap, and not the first on their path.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        session, stop = start_spark(self.master)
        stack.callback(stop)
        return session.sparkContext


@dataclass(frozen=True)
class Job:
    """One file to be made, with all that a worker needs for it.

    folder: where the command was run, from which the source may be named; out: the dataset;
    path: of the file below it; prompt_ids, token_ids: of the batch.
    """

    folder: str
    source: ModelSource
    options: LoadOptions
    weights_sha256: str
    out: str
    path: str
    prompt_ids: tuple[int, ...]
    token_ids: tuple[tuple[int, ...], ...]
    width: int


@dataclass(frozen=True)
class Made:
    """What a worker made of a job: the file under the attempt's name, or why there is none.

    worker: its machine and process.
    """

    worker: str
    entry: FileEntry | None = None
    message: str = ""
    hint: str | None = None


def _made_on(context: Any, capture: Capture, jobs: Sequence[Job]) -> Iterator[FileEntry]:
    """Has jobs done, and gives the entry of each file once it has its name."""
    n_slots = max(int(context.defaultParallelism), 1) * _JOBS_A_SLOT
    workers = set()
    pool = ThreadPoolExecutor(n_slots)
    try:
        paths = {pool.submit(_run, context, job): job.path for job in jobs}
        for future in as_completed(paths):
            made = future.result()
            if made.entry is None:
                raise HeadswapError(f"{made.worker}: {made.message}", hint=made.hint)
            workers.add(made.worker)
            yield _put_in_place(capture.out, made.entry, paths[future])
            capture.on_rows(made.entry.rows)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        context.cancelAllJobs()
        raise
    pool.shutdown()
    print(
        f"{capture.model.name}: {len(jobs)} files made by {len(workers)} workers", file=sys.stderr
    )


def _job(capture: Capture, source: ModelSource, options: LoadOptions, part: Part) -> Job:
    model, members = capture.model, part.batch.members
    return Job(
        folder=str(Path.cwd()),
        source=source,
        options=replace(options, device=model.device),
        weights_sha256=model.weights_sha256,
        out=str(capture.out.absolute()),
        path=part.path,
        prompt_ids=tuple(capture.prompt_ids[member] for member in members),
        token_ids=tuple(tuple(capture.encoded[member].tolist()) for member in members),
        width=part.batch.width,
    )


def _run(context: Any, job: Job) -> Made:
    """Has one job done, as often as Spark tries it.

    Raises: HeadswapError where Spark gives up.
    """
    from py4j.protocol import Py4JError

    from ingest.producers.spark_worker import make

    try:
        (made,) = context.parallelize([job], 1).map(make).collect()
    except Py4JError as error:
        java = getattr(error, "java_exception", None)
        lines = str(java.getMessage() if java is not None else error).strip().splitlines()
        reasons = [line for line in lines if "Error" in line or "Exception" in line] or lines
        raise HeadswapError(
            f"Spark could not make {job.path}: {' '.join(reasons[-1].split())}",
            hint="run the same command again, it goes on where it stopped; the executors' logs "
            "say more",
        ) from error
    else:
        found: Made = made
        return found


def _put_in_place(out: Path, attempt: FileEntry, path: str) -> FileEntry:
    """Gives the file of an attempt the name that the manifest will have."""
    with writing_to(out / path):
        (out / attempt.path).replace(out / path)
    return replace(attempt, path=path)
