"""What a worker of Spark does: it makes the files that it is asked for."""

from __future__ import annotations

import os
import socket
import uuid
from contextlib import chdir

from ingest.kernel.errors import HeadswapError
from ingest.producers.on_spark import Job, Made


def make(job: Job) -> Made:
    """Makes the file of a job under a name of this attempt's own.

    A model or a disk that cannot be used is an answer, and not tried again.
    """
    worker = f"{socket.gethostname()}, process {os.getpid()}"
    stem = job.path.removesuffix(".parquet")
    try:
        with chdir(job.folder):
            return Made(worker, job.file(f"{stem}.{uuid.uuid4().hex}.parquet"))
    except (HeadswapError, OSError) as error:
        return Made(worker, message=str(error), hint=getattr(error, "hint", None))
