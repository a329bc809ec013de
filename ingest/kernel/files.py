"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ingest.kernel.errors import HeadswapError

_PARTIAL_SUFFIX = ".partial"


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Turns what the operating system refuses, within, into a message about `path`.

    Raises: HeadswapError where it refuses (disk full, read-only, ...).
    """
    try:
        yield
    except OSError as error:
        raise HeadswapError(
            f"cannot write {path}: {error.strerror or error}",
            hint="check that the folder exists, is writable and has room, then run again",
        ) from error


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it is synced and renamed to `path`.

    On failure the temporary file is removed, and whatever stood at `path` stays as it was.

    Raises: HeadswapError where the operating system refuses.
    """
    partial = path.with_name(path.name + _PARTIAL_SUFFIX)
    try:
        with writing_to(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            _sync(partial)
            partial.replace(path)
            _sync(path.parent)
    finally:
        if partial.exists():
            partial.unlink()


def write_text_aside(path: Path, text: str) -> None:
    """Makes a text file (UTF-8) hold `text`, in one step; one that does already stays untouched."""
    write_texts_aside({path: text})


def write_texts_aside(texts: Mapping[Path, str]) -> None:
    """The same for several files, as `write_files_aside`."""
    write_files_aside({path: text.encode() for path, text in texts.items()})


def write_files_aside(contents: Mapping[Path, bytes]) -> None:
    """Makes files hold the given bytes: none is replaced before there was room for all.

    They are replaced in the order given; one that holds its bytes already stays untouched.

    Raises: HeadswapError where the operating system refuses.
    """
    with ExitStack() as stack:
        # The last file entered is the first to be put in its place.
        for path, content in reversed(list(contents.items())):
            if not path.is_file() or path.read_bytes() != content:
                partial = stack.enter_context(written_aside(path))
                with writing_to(path):
                    partial.write_bytes(content)
                    _sync(partial)


def _sync(path: Path) -> None:
    """Asks the system to put a file's bytes, or a folder's names, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
