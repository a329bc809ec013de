"""Attention captured on a Spark cluster: a job for each file."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ingest.dataset.manifest import FileEntry
from ingest.kernel.errors import HeadswapError
from ingest.models.options import LoadOptions
from ingest.models.source import ModelSource
from ingest.producers.attention import Capture, Part
from ingest.producers.batches import Batch
from ingest.producers.on_spark import Cluster, Job

if TYPE_CHECKING:
    from ingest.models.loaded import LoadedModel
    from ingest.producers.attention import Captured


def captured_on(
    cluster: Cluster, sources: Sequence[ModelSource], options: LoadOptions | None
) -> Captured:
    """What makes files of parts on a cluster, for `write_attention`.

    sources: of the models that may come; options: how they are loaded.
    """
    by_name = {source.name: source for source in sources}

    def capture_on_cluster(capture: Capture, parts: Sequence[Part]) -> Iterator[FileEntry]:
        source = by_name[capture.model.name]
        jobs = [_job(capture, source, options or LoadOptions(), part) for part in parts]
        for entry in cluster.files(source.name, jobs):
            capture.on_rows(entry.rows)
            yield entry

    return capture_on_cluster


@dataclass(frozen=True)
class AttentionJob(Job):
    """A file of attention. prompt_ids, token_ids: of the batch."""

    source: ModelSource
    options: LoadOptions
    weights_sha256: str
    prompt_ids: tuple[int, ...]
    token_ids: tuple[tuple[int, ...], ...]
    width: int

    def file(self, path: str) -> FileEntry:
        """As `Job.file`."""
        model = _model(self.source, self.options, self.weights_sha256)
        encoded = [np.array(ids, dtype=np.int32) for ids in self.token_ids]
        capture = Capture(model, self.prompt_ids, encoded, Path(self.out), lambda _: None)
        batch = Batch(tuple(range(len(encoded))), self.width)
        with ThreadPoolExecutor(max_workers=1) as encoder:
            return capture.file(path, batch, encoder)


def _job(capture: Capture, source: ModelSource, options: LoadOptions, part: Part) -> AttentionJob:
    model, members = capture.model, part.batch.members
    return AttentionJob(
        folder=str(Path.cwd()),
        out=str(capture.out.absolute()),
        path=part.path,
        source=source,
        options=replace(options, device=model.device),
        weights_sha256=model.weights_sha256,
        prompt_ids=tuple(capture.prompt_ids[member] for member in members),
        token_ids=tuple(tuple(capture.encoded[member].tolist()) for member in members),
        width=part.batch.width,
    )


# A worker serves one job after the other; those of the next model come when all of one are done.
@functools.lru_cache(maxsize=1)
def _model(source: ModelSource, options: LoadOptions, weights_sha256: str) -> LoadedModel:
    from ingest.models.load import load_model
    from ingest.models.source import find_files

    model = load_model(source, find_files(source, options.trust_remote_code), options)
    if model.weights_sha256 != weights_sha256:
        raise HeadswapError(
            f"{source.source} has other weights here than where the command was run",
            hint="name a commit of the hub, or a folder that all machines see",
        )
    return model
