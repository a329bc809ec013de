"""One writer at a time: a lock that the system releases when the process that holds it dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ingest.kernel.errors import HeadswapError

# Stays behind, empty: the lock is the system's, on the open file, so that a crash leaves none.
LOCK_NAME = ".lock"


@contextmanager
def writing(dataset: Path) -> Iterator[None]:
    """Holds the lock on a dataset folder, which is made where it does not exist.

    Raises: HeadswapError where another process writes there, or the folder cannot be written.
    """
    try:
        dataset.mkdir(parents=True, exist_ok=True)
        lock = FileLock(dataset / LOCK_NAME)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise HeadswapError(
            f"another ingest is writing to {dataset}",
            hint="wait until it has ended, then run again; nothing was changed",
        ) from error
    except (OSError, NotImplementedError) as error:
        raise HeadswapError(
            f"cannot lock {dataset}: {getattr(error, 'strerror', None) or error}",
            hint="check that the folder can be written, on a file system that has locks",
        ) from error
    try:
        yield
    finally:
        lock.release()


def check_unlocked(dataset: Path) -> None:
    """Refuses early what `writing` would refuse later, and touches nothing where nobody writes."""
    if (dataset / LOCK_NAME).exists():
        with writing(dataset):
            pass
