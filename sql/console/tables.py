"""Rows as aligned text, fitted to the terminal that it goes to."""

from __future__ import annotations

import itertools
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ingest.kernel.text import printable

_MAX_CELL_WIDTH = 60
# Texts are cut down to this before a column is left out.
_LEAST_CELL_WIDTH = 12
_GAP = 2
_ALIGNED_ROWS = 1000


def terminal_width() -> int | None:
    """The columns of the terminal that stdout is; None where it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table_lines(
    columns: list[str],
    rows: Iterable[tuple[Any, ...]],
    width: int | None = None,
    left_out: list[str] | None = None,
) -> Iterator[str]:
    r"""Rows as the lines of an aligned table; numbers stand on the right.

    The widths are those of the first 1,000 rows, so that no more of a long result is held at once.

    width: the most columns of the terminal that a line may take: texts are cut, then the last
    columns are left out. left_out: gets the names of these.

    >>> print("\n".join(table_lines(["head", "cosine"], [("L3H0", 0.5), ("L3H10", None)])))
    head   cosine
    -----  ------
    L3H0      0.5
    L3H10    null
    """
    rest = iter(rows)
    first = list(itertools.islice(rest, _ALIGNED_ROWS))
    cells = [list(map(_cell, row)) for row in first]
    widths = [
        max([_width(name), *(_width(row[index]) for row in cells)])
        for index, name in enumerate(columns)
    ]
    is_number = [
        any(_is_number(row[index]) for row in first)
        and all(row[index] is None or _is_number(row[index]) for row in first)
        for index in range(len(columns))
    ]
    if width is not None:
        widths = _fitted(widths, [_width(name) for name in columns], is_number, width)
        if left_out is not None:
            left_out += columns[len(widths) :]
    yield _line(columns, widths, is_number)
    yield (" " * _GAP).join("-" * width for width in widths)
    for row in itertools.chain(cells, (list(map(_cell, row)) for row in rest)):
        # A later row may be longer than the first ones: on a terminal its texts are cut, too.
        yield _line(row, widths, is_number, is_cut=width is not None)


def _fitted(
    widths: Sequence[int], of_names: Sequence[int], is_number: Sequence[bool], width: int
) -> list[int]:
    """The widths of the columns that a terminal has room for, the first always among them.

    of_names: the widths of the names, below which no column is cut, nor is a number.

    >>> _fitted([30, 8, 20], [5, 8, 5], [False, True, False], 40)
    [14, 8, 14]
    >>> _fitted([30, 8, 20], [5, 8, 5], [False, True, False], 25)
    [15, 8]
    """
    found = list(widths)
    least = [
        size if number else min(size, max(_LEAST_CELL_WIDTH, name))
        for size, name, number in zip(widths, of_names, is_number, strict=True)
    ]
    while len(least) > 1 and _total(least) > width:
        least.pop()
        found.pop()
    while _total(found) > width and found != least:
        spare = [size if size > low else 0 for size, low in zip(found, least, strict=True)]
        found[spare.index(max(spare))] -= 1
    return found


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _line(cells: list[str], widths: list[int], is_number: list[bool], is_cut: bool = False) -> str:
    padded = []
    for cell, width, number in zip(cells, widths, is_number, strict=False):
        text = _cut(cell, width) if is_cut and not number else cell
        space = " " * (width - _width(text))
        padded.append(space + text if number else text + space)
    return (" " * _GAP).join(padded).rstrip()


def _cut(text: str, width: int) -> str:
    """A text that takes at most so many columns of a terminal."""
    if _width(text) <= width:
        return text
    while _width(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


def _cell(value: Any) -> str:
    """One value, short and without anything that a terminal would act on."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    text = printable(str(value)[: _MAX_CELL_WIDTH + 1])
    return text if len(text) <= _MAX_CELL_WIDTH else text[: _MAX_CELL_WIDTH - 1] + "…"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _width(text: str) -> int:
    """Columns that a terminal gives to a text: wide characters take two, combining ones none."""
    return sum(
        0
        if unicodedata.combining(character)
        else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )
