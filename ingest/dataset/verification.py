"""Whether a dataset holds what its contract promises, file by file and row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.dataset.cards.card import texts_of
from ingest.dataset.checks import Check, Problem
from ingest.dataset.manifest import (
    BACKUP_NAME,
    KEPT_FOLDER,
    MANIFEST_NAME,
    FileEntry,
    Manifest,
    manifest_text,
    read_manifest,
)
from ingest.dataset.relations import STORED_TABLES, StoredTable
from ingest.dataset.schemas import schema_of
from ingest.kernel.errors import DatasetError

_OWN_SUFFIXES = (".parquet", ".partial", ".jsonl")
_PROMISES = {
    "manifest": "it and its copy are as headswap writes them, checksum included",
    "card": "README.md and croissant.json are those of this manifest",
    "files": "each is there, of its size, inside the dataset",
    "checksums": "each file has its SHA-256",
    "schemas": "each file has its columns and its number of rows",
    "tables": "models, prompts and tokens name each other, none twice",
    "rows": "every row is told apart by its key and of a model, head and prompt that exist",
    "sums": "attention weights are finite, not below 0, and sum to 1",
    "orphans": "no file lies there that the manifest does not name",
}


OnRows = Callable[[int], None]


class Verification:
    """A verification under way: what is held against what, and what was found so far.

    on_rows: called with the number of rows that were read, now and then. sound: the paths of the
    files whose bytes and columns are as promised. checks: by name.
    """

    def __init__(
        self, dataset: Path, manifest: Manifest, checks: dict[str, Check], on_rows: OnRows
    ) -> None:
        self.dataset, self.manifest, self.checks = dataset, manifest, checks
        self.on_rows = on_rows
        self.sound: set[str] = set()
        self._small_tables: dict[str, pa.Table] = {}

    def small_table(self, name: str) -> pa.Table:
        """All rows of a table whose files are sound."""
        if name not in self._small_tables:
            parts = [rows for _, rows in self.sound_rows(STORED_TABLES[name], None)]
            none = schema_of(STORED_TABLES[name]).empty_table()
            self._small_tables[name] = pa.concat_tables([none, *parts])
        return self._small_tables[name]

    def sound_rows(self, table: StoredTable, owner: str | None) -> Iterator[tuple[str, pa.Table]]:
        """Path and rows of each sound file of a table, or of one model of it."""
        for entry in self.manifest.files_of(table.name, owner):
            if entry.path in self.sound:
                rows = pq.read_table(self.dataset / entry.path)
                self.on_rows(len(rows))
                yield entry.path, rows

    def values_of(self, reference: str) -> pa.ChunkedArray:
        """The values of a column, named as in `prompts.prompt_id`."""
        table, _, column = reference.partition(".")
        return self.small_table(table)[column]

    def shape_of(self, model: str) -> dict[str, Any]:
        """The row of the table `models` of one model."""
        models = self.small_table("models")
        row: dict[str, Any] = models.filter(pc.equal(models["model"], model)).to_pylist()[0]
        return row

    def has_sound(self, name: str) -> bool:
        """Whether a table is there and each of its files is sound."""
        entries = self.manifest.files_of(name)
        return bool(entries) and all(entry.path in self.sound for entry in entries)


def verify(dataset: Path, quick: bool = False, on_rows: OnRows = lambda rows: None) -> list[Check]:
    """Holds a dataset against its contract.

    quick: no file is read as a whole, so neither checksums nor rows are looked at. on_rows: called
    with the number of rows that were read, now and then.

    A manifest that cannot be read is a problem and the only one found, as all else follows from it.

    Raises: DatasetError where the folder never was a dataset.
    """
    checks = {name: Check(name, promise) for name, promise in _PROMISES.items()}
    try:
        manifest = read_manifest(dataset)
    except DatasetError as error:
        if not (dataset / BACKUP_NAME).is_file():
            raise
        checks["manifest"].record(MANIFEST_NAME, str(error))
        return list(checks.values())
    for name in (MANIFEST_NAME, BACKUP_NAME):
        checks["manifest"].record_text(dataset, name, manifest_text(manifest))
    for name, text in texts_of(dataset, manifest).items():
        checks["card"].record_text(dataset, name, text)
    verification = Verification(dataset, manifest, checks, on_rows)
    for table in STORED_TABLES.values():
        _check_files(verification, table, quick)
    _check_rows(verification, quick)
    _check_orphans(checks["orphans"], dataset, manifest)
    return list(checks.values())


def _check_files(verification: Verification, table: StoredTable, quick: bool) -> None:
    """Notes which files of a table are sound; that a required table is there at all."""
    checks, manifest = verification.checks, verification.manifest
    if table.name not in manifest.tables and not table.is_optional:
        checks["files"].record(MANIFEST_NAME, f"names no file of the table {table.name}")
    for entry in manifest.files_of(table.name):
        model = manifest.model(entry.owner or "")
        schema = schema_of(table, model.precision if model else "float32")
        if _check_file(checks, verification.dataset, entry, quick) and _check_schema(
            checks["schemas"], verification.dataset, entry, table.name, schema
        ):
            verification.sound.add(entry.path)


def _check_rows(verification: Verification, quick: bool) -> None:
    """Applies each table's rule: those of single files first, on which the others rest."""
    small = [table for table in STORED_TABLES.values() if table.split != "model"]
    required = [table.name for table in small if not table.is_optional]
    if not all(map(verification.has_sound, required)):
        return  # a problem that was found; nothing can be held against these tables
    for table in small:
        if verification.has_sound(table.name):
            table.rule()(verification, table)
    if quick or verification.checks["tables"].problems:
        return
    for table in STORED_TABLES.values():
        if table.split == "model" and table.name in verification.manifest.tables:
            table.rule()(verification, table)


def _check_file(checks: dict[str, Check], dataset: Path, entry: FileEntry, quick: bool) -> bool:
    path = dataset / entry.path
    problem = None
    if not path.is_file():
        problem = "is missing"
    elif not path.resolve().is_relative_to(dataset.resolve()):
        problem = "is a link to outside of the dataset"
    elif (size := path.stat().st_size) != entry.bytes:
        problem = f"has {size:,} bytes instead of {entry.bytes:,}"
    if not checks["files"].record(entry.path, problem):
        return False
    if quick:
        return True
    is_intact = entry.is_intact(dataset)
    return checks["checksums"].record(entry.path, None if is_intact else "has other bytes")


def _check_schema(
    check: Check, dataset: Path, entry: FileEntry, table: str, expected: pa.Schema
) -> bool:
    try:
        metadata = pq.read_metadata(dataset / entry.path)
        schema = metadata.schema.to_arrow_schema()
    except (pa.ArrowException, OSError) as error:
        return check.record(entry.path, f"cannot be read as Parquet: {str(error).splitlines()[0]}")
    problem = None
    if not schema.equals(expected):
        problem = f"has other columns than the table {table}"
    elif metadata.num_rows != entry.rows:
        problem = f"has {metadata.num_rows:,} rows instead of {entry.rows:,}"
    return check.record(entry.path, problem)


def _check_orphans(check: Check, dataset: Path, manifest: Manifest) -> None:
    named = {entry.path for entry in manifest.files()}
    for path in sorted(dataset.rglob("*")):
        below = path.relative_to(dataset)
        is_ours = path.suffix in _OWN_SUFFIXES and below.parts[0] != KEPT_FOLDER
        if not is_ours or path.is_dir():
            continue
        check.n_checked += 1
        if below.as_posix() not in named:
            check.problems.append(
                Problem(below.as_posix(), "is not named by the manifest", is_superfluous=True)
            )
