"""Opening a dataset folder: the manifest, and the files that it names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.dataset.manifest import FileEntry, Manifest, read_manifest
from ingest.dataset.relations import STORED_TABLES, required_tables
from ingest.kernel.errors import DatasetError

if TYPE_CHECKING:
    import pyarrow as pa

    from ingest.dataset.afar.files import PinnedFiles


@dataclass(frozen=True)
class Dataset:
    """A dataset whose manifest was read and whose files exist."""

    path: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """How messages name it."""
        return str(self.path)

    @property
    def file_system(self) -> PinnedFiles | None:
        """What reads its files where they lie elsewhere."""
        return None

    @property
    def readable(self) -> list[str]:
        """All its files, as DuckDB may be allowed to read them."""
        return [str((self.path / entry.path).resolve()) for entry in self.manifest.files()]

    def locations(self, table: str, owner: str | None = None) -> list[str]:
        """How DuckDB reads the files of a table, or of one model or tokenizer of it."""
        return [str(self.path / entry.path) for entry in self.manifest.files_of(table, owner)]

    def table_files(self, table: str, owner: str | None = None) -> list[Path]:
        """The files of a stored table, or of one model or tokenizer, in the manifest's order."""
        return [self.path / entry.path for entry in self.manifest.files_of(table, owner)]

    def read_table(self, table: str) -> pa.Table:
        """A whole stored table in memory."""
        # Not at the top: a query needs none of it, and it takes as long to load as DuckDB.
        import pyarrow as pa
        import pyarrow.parquet as pq

        from ingest.dataset.schemas import schema_of

        schema = schema_of(STORED_TABLES[table])
        parts = [pq.read_table(path, schema=schema) for path in self.table_files(table)]
        return pa.concat_tables(parts) if parts else schema.empty_table()


def open_dataset(path: Path) -> Dataset:
    """Opens a dataset folder.

    Raises: DatasetError where it is none, a file is missing, is a link, or has another size than
    the manifest says.
    """
    manifest = read_manifest(path)
    check_tables(str(path), manifest)
    for entry in manifest.files():
        _check_file(path, entry)
    return Dataset(path, manifest)


def check_tables(name: str, manifest: Manifest) -> None:
    """Raises: DatasetError where a dataset lacks a table that every dataset has."""
    missing = [table for table in required_tables() if table not in manifest.tables]
    if missing:
        raise DatasetError(f"{name} has no table {missing[0]!r}")


def _check_file(dataset: Path, entry: FileEntry) -> None:
    path = dataset / entry.path
    hint = "get the dataset again from where it came, or ingest it again"
    if not path.is_file():
        raise DatasetError(f"{path} is missing, but the manifest names it", hint=hint)
    if not path.resolve().is_relative_to(dataset.resolve()):
        raise DatasetError(f"{path} is a link to outside of the dataset", hint=hint)
    size = path.stat().st_size
    if size != entry.bytes:
        raise DatasetError(
            f"{path} has {size} bytes, but the manifest says {entry.bytes}", hint=hint
        )
