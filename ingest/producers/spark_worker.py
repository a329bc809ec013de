"""What a worker of Spark does: it loads a model once and makes the files that it is asked for."""

from __future__ import annotations

import functools
import os
import socket
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ingest.kernel.errors import HeadswapError
from ingest.models.options import LoadOptions
from ingest.models.source import ModelSource
from ingest.producers.attention import Capture
from ingest.producers.batches import Batch
from ingest.producers.on_spark import Job, Made

if TYPE_CHECKING:
    from ingest.models.loaded import LoadedModel


def make(job: Job) -> Made:
    """Makes the file of a job under a name of this attempt's own.

    A model or a disk that cannot be used is an answer, and not tried again.
    """
    worker = f"{socket.gethostname()}, process {os.getpid()}"
    stem = job.path.removesuffix(".parquet")
    path = f"{stem}.{uuid.uuid4().hex}.parquet"
    try:
        os.chdir(job.folder)
        model = _model(job.source, job.options, job.weights_sha256)
        encoded = [np.array(ids, dtype=np.int32) for ids in job.token_ids]
        capture = Capture(model, job.prompt_ids, encoded, Path(job.out), lambda _: None)
        batch = Batch(tuple(range(len(encoded))), job.width)
        with ThreadPoolExecutor(max_workers=1) as encoder:
            return Made(worker, capture.file(path, batch, encoder))
    except (HeadswapError, OSError) as error:
        return Made(worker, message=str(error), hint=getattr(error, "hint", None))


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
