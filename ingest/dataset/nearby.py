"""Where the dataset lies that a wrong path was given for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ingest.kernel.meant import meant

# A folder with more entries is not looked through.
_MAX_ENTRIES = 1000


def dataset_hint(path: Path, manifest_name: str) -> str | None:
    """The dataset that was probably meant by a path that is none; None where none is near.

    Looked for above the path, two folders below it, and beside it by a name that is like its own.
    """
    near = (folder for folder in _candidates(path) if (folder / manifest_name).is_file())
    found = next(near, None)
    return f"did you mean {found}?" if found else None


def _candidates(path: Path) -> Iterator[Path]:
    yield from islice(path.parents, 3) if path.exists() else ()
    for folder in _folders(path):
        yield folder
        yield from _folders(folder)
    beside = {folder.name: folder for folder in _folders(path.parent)}
    if (name := meant(path.name, beside)) is not None:
        yield beside[name]
        yield from _folders(beside[name])
    for folder in beside.values():
        yield folder / path.name


def _folders(path: Path) -> list[Path]:
    """The folders in a folder, in alphabetical order; none where it cannot be read."""
    try:
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry in islice(entries, _MAX_ENTRIES) if entry.is_dir())
    except OSError:
        return []
    return [path / name for name in names]
