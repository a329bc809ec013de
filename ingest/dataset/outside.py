"""A folder that is about to be written lies outside every dataset."""

from __future__ import annotations

import os
from pathlib import Path

from ingest.dataset.manifest import MANIFEST_NAME, read_manifest
from ingest.kernel.errors import DatasetError, InputError


def check_outside_datasets(folder: Path) -> None:
    """Raises: InputError where a folder is a dataset or inside one."""
    resolved = folder.resolve()
    for place in (resolved, *resolved.parents):
        if (place / MANIFEST_NAME).is_file() and _is_dataset(place):
            raise InputError(
                f"{folder} is inside the dataset {os.path.relpath(place)}",
                hint="a dataset holds nothing but its own files: give a folder outside it",
            )


def _is_dataset(folder: Path) -> bool:
    try:
        read_manifest(folder)
    except DatasetError:  # other programs have a file of that name, too
        return False
    return True
