"""A dataset folder that is made aside and put in its place in one step, whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.dataset.lock import LOCK_NAME, writing
from ingest.dataset.outside import check_outside_datasets
from ingest.kernel.errors import HeadswapError, InputError
from ingest.kernel.files import writing_to


@contextmanager
def new_dataset(out: Path, n_bytes: int) -> Iterator[Path]:
    """Yields a folder beside `out`, which is renamed to it once the block ends without error.

    n_bytes: about how much will be written. After an error the folder is removed. What a killed
    process left there is removed before it is made anew.

    Raises: InputError where `out` is there already and not empty, or in a dataset; HeadswapError
    where the disk lacks the room, the operating system refuses, or another process makes the same
    dataset.
    """
    target = out.absolute()
    check_new(out)
    folder = target.with_name(f".{target.name}.partial")
    with writing(folder):
        try:
            _clear(folder)
            free = shutil.disk_usage(folder).free
            if n_bytes > free:
                raise HeadswapError(
                    f"{n_bytes / 1e9:,.1f} GB are to be written, but the disk of {out} has "
                    f"{free / 1e9:,.1f} GB left",
                    hint="make room, or choose another place with --out",
                )
            yield folder
            with writing_to(out):
                folder.replace(target)
        finally:
            if folder.exists():
                shutil.rmtree(folder)


def check_new(out: Path) -> None:
    """Raises InputError where `out` is inside a dataset, or there and no empty folder."""
    is_empty = out.is_dir() and not any(out.iterdir())
    if not is_empty and (out.exists() or out.is_symlink()):
        raise InputError(f"{out} exists already", hint="give a new or empty folder with --out")
    check_outside_datasets(out)


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK_NAME:
            path.unlink()
