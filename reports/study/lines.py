"""Where in a study file something stands, for messages: the line that sets a key."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ingest.kernel.errors import InputError
from ingest.kernel.typed import Place

_HEADER = re.compile(r"""\s*\[\s*["']?(?P<name>[^\]"']+?)["']?\s*\]""")
_SETTING = r"""\s*["']?{}["']?\s*[=.]"""


@contextlib.contextmanager
def errors_at(place: str) -> Iterator[None]:
    """Puts a place of the file before the messages of errors."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}", hint=error.hint) from error


def where(place: Place, text: str, path: Path) -> str:
    """The file, and the line that sets a key of it where that is found."""
    line = line_of([str(key) for key in place[:2]], text)
    return f"{path}, line {line}" if line else str(path)


def line_of(keys: Sequence[str], text: str) -> int | None:
    r"""The line, counted from 1, that sets a key or opens a section.

    >>> line_of(["run", "dtype"], "dtype = 1\n[run]\ndtype = 2")
    3

    keys: a key, or a section and a key. For a key in a form that is not looked for, such as an
    inline table, the line of its section; None where that is not found either.
    """
    *section, key = keys
    inside: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if header := _HEADER.match(line):
            inside = [header["name"]]
            if inside in (list(keys), [".".join(keys)]):
                return number
        elif inside == section and re.match(_SETTING.format(re.escape(key)), line):
            return number
    return line_of(section, text) if section else None
