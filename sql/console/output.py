"""Query results as text for people and as files for machines."""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import duckdb

from ingest.kernel.errors import HeadswapError, InputError
from ingest.kernel.files import written_aside
from ingest.kernel.text import printable

FORMATS = ("table", "csv", "json", "parquet")
_COPY_OPTIONS = {
    "csv": "format csv, header",
    "json": "format json, array true",
    "parquet": "format parquet, compression zstd",
}
_MAX_CELL_WIDTH = 60
# Of a table that is printed, unless more are asked for.
SHOWN_ROWS = 50
_ALIGNED_ROWS = 1000


def format_for(chosen: str | None, path: Path | None) -> str:
    """The output format: the one chosen, else that of the file's ending, else a table."""
    if chosen:
        return chosen
    ending = path.suffix.removeprefix(".").lower() if path else ""
    return ending if ending in FORMATS else "table"


def parse_rows(text: str) -> int | None:
    """A number of rows to show; None for `all`.

    >>> parse_rows("20"), parse_rows("all")
    (20, None)

    Raises: InputError where it is neither.
    """
    if text == "all":
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**31):
        raise InputError(f"{text!r} is not a number of rows", hint="give 1 or more, or all")
    return int(text)


def write_result(relation: duckdb.DuckDBPyRelation, result_format: str, path: Path | None) -> None:
    """Writes a query's whole result to a file, replaced in one step, or to stdout.

    Raises: InputError for Parquet on a terminal, HeadswapError where the file cannot be written.
    """
    if path is not None:
        with written_aside(path) as partial:
            if result_format == "table":
                _write_lines(table_lines(relation.columns, relation.iter_rows()), partial)
            else:
                _copy(relation, result_format, partial)
    elif result_format == "table":
        print_table(relation, None)
    elif result_format == "parquet" and sys.stdout.isatty():
        raise InputError("Parquet is not for a terminal", hint="name a file with -o FILE")
    else:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "result"
            _copy(relation, result_format, file)
            sys.stdout.flush()
            with file.open("rb") as content:
                shutil.copyfileobj(content, sys.stdout.buffer)


def print_table(relation: duckdb.DuckDBPyRelation, n_shown: int | None, hint: str = "") -> None:
    """Prints a query's result as a table.

    n_shown: the most rows, None for all. hint: printed on stderr where there are more.
    """
    if n_shown is None:
        for line in table_lines(relation.columns, relation.iter_rows()):
            print(line)
        return
    # One row more than is shown tells that there are more, without computing them all.
    rows = relation.limit(n_shown + 1).fetchall()
    for line in table_lines(relation.columns, rows[:n_shown]):
        print(line)
    if len(rows) > n_shown:
        sys.stdout.flush()
        print(f"the first {n_shown:,} rows, there are more: {hint}", file=sys.stderr)


def _write_lines(lines: Iterable[str], path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def _copy(relation: duckdb.DuckDBPyRelation, result_format: str, path: Path) -> None:
    target = str(path).replace("'", "''")
    statement = f"copy headswap_result to '{target}' ({_COPY_OPTIONS[result_format]})"
    try:
        relation.query("headswap_result", statement)
    except duckdb.IOException as error:
        if str(path) not in str(error):
            raise  # a file that the query reads
        raise HeadswapError(
            f"cannot write the result: {str(error).splitlines()[0]}",
            hint="check that the folder is writable and has room, then run again",
        ) from error


def table_lines(columns: list[str], rows: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    r"""Rows as the lines of an aligned table; numbers stand on the right.

    The widths are those of the first 1,000 rows, so that no more of a long result is held at once.

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
    yield _line(columns, widths, is_number)
    yield "  ".join("-" * width for width in widths)
    for row in itertools.chain(cells, (list(map(_cell, row)) for row in rest)):
        yield _line(row, widths, is_number)


def _line(cells: list[str], widths: list[int], is_number: list[bool]) -> str:
    padded = [
        " " * (width - _width(cell)) + cell if right else cell + " " * (width - _width(cell))
        for cell, width, right in zip(cells, widths, is_number, strict=True)
    ]
    return "  ".join(padded).rstrip()


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
