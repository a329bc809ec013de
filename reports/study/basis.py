"""What the pages of a study rest on, as hashes: where they are equal, nothing is made again."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from dataclasses import dataclass
from pathlib import Path

from ingest.dataset.reader import Dataset
from ingest.kernel.files import sha256_of
from reports.study.runs import HISTORY_NAME, Run

# What takes part in the numbers, the charts and the pages.
_LIBRARIES = ("altair", "duckdb", "jinja2", "numpy", "polars", "scipy", "vl-convert-python")
_ROOT = Path(__file__).parents[2]
_CODE = ("ingest/kernel", "ingest/dataset", "sql", "reports")


@dataclass(frozen=True)
class Basis:
    """What a run rests on, as the fields of its record.

    headswap: the version. dataset: the manifest's SHA-256; the manifest names those of the models
    and of the rows. fingerprint: of the dataset, of what the study says and of the code. row_files:
    of size and time of change of every file that the manifest names.
    """

    headswap: str
    dataset: str
    fingerprint: str
    row_files: str


def basis_of(dataset: Dataset, study: str, version: str) -> Basis:
    """What a run rests on. study: what identifies the study's content; version: headswap's."""
    manifest = dataset.manifest.sha256()
    libraries = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    stats = [(entry.path, (dataset.path / entry.path).stat()) for entry in dataset.manifest.files()]
    return Basis(
        headswap=version,
        dataset=manifest,
        fingerprint=_sha256([manifest, study, version, libraries, _code()]),
        row_files=_sha256([[path, stat.st_size, stat.st_mtime_ns] for path, stat in stats]),
    )


def is_unchanged(run: Run, basis: Basis, folder: Path) -> bool:
    """Whether a run rested on the same, and its pages in the folder are as it left them."""
    if (run.fingerprint, run.row_files) != (basis.fingerprint, basis.row_files):
        return False
    pages = page_hashes(folder)
    if not (folder / HISTORY_NAME).is_file():
        return False
    return all(pages.get(name) == sha256 for name, sha256 in run.files.items())


def page_hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every page of a report folder by name, but that of the runs themselves."""
    pages = (path for path in sorted(folder.glob("*.html")) if path.name != HISTORY_NAME)
    return {path.name: sha256_of(path) for path in pages if path.is_file()}


def _code() -> dict[str, str]:
    """The SHA-256 of every file that makes numbers or pages, templates and queries among them."""
    paths = (path for folder in _CODE for path in sorted((_ROOT / folder).rglob("*")))
    files = (path for path in paths if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(_ROOT).as_posix(): sha256_of(path) for path in files}


def _sha256(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
