"""Opening a dataset that lies elsewhere: small tables are fetched, large ones read there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ingest.dataset.afar.address import CHANGED_SINCE, Address, resolve
from ingest.dataset.afar.files import PROTOCOL, PinnedFiles
from ingest.dataset.manifest import MANIFEST_NAME, FileEntry, Manifest, parse_manifest
from ingest.dataset.reader import Dataset, check_tables
from ingest.dataset.relations import STORED_TABLES
from ingest.kernel.errors import DatasetError, InputError
from ingest.kernel.files import writing_to, written_aside
from ingest.kernel.progress import Progress
from ingest.kernel.user_folders import cache_folder

MOST_BYTES_OF_A_MANIFEST = 64 << 20
_STEP_BYTES = 8 << 20


@dataclass(frozen=True)
class DatasetAfar(Dataset):
    """A dataset that lies elsewhere. Its `path` is the folder here that keeps what was fetched.

    address: where it lies, at one state; files: its files there.
    """

    address: Address
    afar: PinnedFiles

    @property
    def name(self) -> str:
        return self.address.text

    @property
    def file_system(self) -> PinnedFiles:
        return self.afar

    @property
    def readable(self) -> list[str]:
        return [place for table in self.manifest.tables for place in self.locations(table)]

    def locations(self, table: str, owner: str | None = None) -> list[str]:
        """As DuckDB reads the files of a table: split by model, there; else the copy here."""
        if STORED_TABLES[table].split != "model":
            return super().locations(table, owner)
        return [f"{PROTOCOL}://{entry.path}" for entry in self.manifest.files_of(table, owner)]

    def table_files(self, table: str, owner: str | None = None) -> list[Path]:
        """Whole files here, those that lack fetched now, each held against its SHA-256."""
        entries = self.manifest.files_of(table, owner)
        lacking = [entry for entry in entries if not entry.is_intact(self.path)]
        with Progress(f"fetching {table}", sum(e.bytes for e in lacking), "bytes") as progress:
            for entry in lacking:
                self._keep(entry, progress)
        return [self.path / entry.path for entry in entries]

    def _keep(self, entry: FileEntry, progress: Progress) -> None:
        path, digest = self.path / entry.path, hashlib.sha256()
        with written_aside(path) as partial:
            with writing_to(path), partial.open("wb") as file:
                for start in range(0, entry.bytes, _STEP_BYTES):
                    end = min(start + _STEP_BYTES, entry.bytes)
                    part = self.address.part(entry.path, start, end, entry.bytes)
                    digest.update(part)
                    file.write(part)
                    progress.add(len(part))
            if digest.hexdigest() != entry.sha256:
                raise DatasetError(
                    f"{self.name}: {entry.path} does not have the SHA-256 that the manifest says",
                    hint=CHANGED_SINCE,
                )


def open_afar(text: str) -> DatasetAfar:
    """Opens the dataset at an address, in the state that it has now.

    Its manifest is checked, its small tables are fetched into the user's cache, where datasets of
    the same content share a folder, and are held against the manifest.

    Raises: InputError where there is none; DatasetError where it contradicts its manifest;
    HeadswapError where the network or the disk fails.
    """
    address = resolve(text)
    manifest = manifest_at(address)
    check_tables(address.text, manifest)
    base = cache_folder()
    if base is None:
        raise InputError(
            "this user has no folder for what is read from afar", hint="set XDG_CACHE_HOME"
        )
    folder = base / "afar" / manifest.sha256()[:32]
    dataset = DatasetAfar(folder, manifest, address, PinnedFiles(address, manifest))
    for name, table in STORED_TABLES.items():
        if table.split != "model":
            dataset.table_files(name)
    return dataset


def manifest_at(address: Address) -> Manifest:
    """Reads and checks the manifest at an address.

    Raises: as `open_afar`.
    """
    where = f"{address.text}/{MANIFEST_NAME}"
    text = address.whole(MANIFEST_NAME, MOST_BYTES_OF_A_MANIFEST)
    return parse_manifest(text, where, "tell its owner, or choose another revision")
