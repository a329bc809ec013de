"""The files of a dataset that lies elsewhere, as the file system that DuckDB and pyarrow read."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

from fsspec import AbstractFileSystem

from ingest.dataset.afar.address import Address
from ingest.dataset.manifest import FileEntry, Manifest
from ingest.kernel.errors import HeadswapError

PROTOCOL = "afar"
# What a Parquet reader asks for first, and again for each query: where a file's parts lie.
_TAIL_BYTES = 1 << 16
# A file that a manifest pins does not change, and DuckDB asks since when.
_NEVER = datetime(2000, 1, 1, tzinfo=UTC)


class PinnedFiles(AbstractFileSystem):  # type: ignore[misc]
    """The files that a manifest names, of the sizes that it names; there are no others.

    n_bytes: that came from there so far.
    """

    protocol = PROTOCOL
    cachable = False  # fsspec would give two datasets one instance

    def __init__(self, address: Address, manifest: Manifest) -> None:
        super().__init__()
        self._address = address
        self._entries = {entry.path: entry for entry in manifest.files()}
        self._tails: dict[str, bytes] = {}
        self._failure: HeadswapError | None = None
        self.n_bytes = 0

    def pop_failure(self) -> HeadswapError | None:
        """Why the last read that failed did, once: engines make an error of their own of it."""
        failure, self._failure = self._failure, None
        return failure

    def glob(self, path: str, **options: Any) -> list[str]:
        """The path itself where the manifest names it: there are no patterns here."""
        return [path] if self._strip_protocol(path) in self._entries else []

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        entry = self._entry(path)
        return {"name": path, "size": entry.bytes, "type": "file"}

    def modified(self, path: str) -> datetime:
        self._entry(path)
        return _NEVER

    def open(self, path: str, mode: str = "rb", **options: Any) -> io.RawIOBase:
        """A file to read; there is no other mode."""
        if mode != "rb":
            raise PermissionError(f"{path} can only be read")
        return _PinnedFile(self, self._entry(path))

    def read_range(self, entry: FileEntry, start: int, end: int) -> bytes:
        """The bytes of a file from `start` to before `end`; of its tail those read before."""
        tail_start = max(entry.bytes - _TAIL_BYTES, 0)
        try:
            if start < tail_start:
                return self._fetched(entry, start, end)
            if entry.path not in self._tails:
                self._tails[entry.path] = self._fetched(entry, tail_start, entry.bytes)
        except HeadswapError as error:
            self._failure = error
            raise OSError(str(error)) from error
        return self._tails[entry.path][start - tail_start : end - tail_start]

    def _fetched(self, entry: FileEntry, start: int, end: int) -> bytes:
        part = self._address.part(entry.path, start, end, entry.bytes)
        self.n_bytes += len(part)
        return part

    def _entry(self, path: str) -> FileEntry:
        try:
            return self._entries[self._strip_protocol(path)]
        except KeyError:
            raise FileNotFoundError(f"{path} is not named by the manifest") from None


class _PinnedFile(io.RawIOBase):
    """One of them, open."""

    def __init__(self, files: PinnedFiles, entry: FileEntry) -> None:
        self._files, self._entry, self._at = files, entry, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origins = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._entry.bytes}
        self._at = max(origins[whence] + offset, 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        with memoryview(buffer) as view:
            n_wanted = len(view)
            end = min(self._at + n_wanted, self._entry.bytes)
            if end <= self._at:
                return 0
            content = self._files.read_range(self._entry, self._at, end)
            view[: len(content)] = content
        self._at = end
        return len(content)
