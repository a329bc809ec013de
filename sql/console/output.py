"""Query results as text for people and as files for machines."""

from __future__ import annotations

import shutil
import sys
import tempfile
import unicodedata
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


def format_for(chosen: str | None, path: Path | None) -> str:
    """The output format: the one chosen, else that of the file's ending, else a table."""
    if chosen:
        return chosen
    ending = path.suffix.removeprefix(".").lower() if path else ""
    return ending if ending in FORMATS else "table"


def write_result(relation: duckdb.DuckDBPyRelation, result_format: str, path: Path | None) -> None:
    """Writes a query's result to a file, replaced in one step, or to stdout.

    Raises: InputError for Parquet on a terminal, HeadswapError where the file cannot be written.
    """
    if result_format == "table":
        text = table_text(relation.columns, relation.fetchall())
        if path is None:
            print(text)
            return
        with written_aside(path) as partial:
            partial.write_text(text + "\n", encoding="utf-8")
        return
    if path is not None:
        with written_aside(path) as partial:
            _copy(relation, result_format, partial)
        return
    if result_format == "parquet" and sys.stdout.isatty():
        raise InputError("Parquet is not for a terminal", hint="name a file with -o FILE")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "result"
        _copy(relation, result_format, file)
        sys.stdout.flush()
        with file.open("rb") as content:
            shutil.copyfileobj(content, sys.stdout.buffer)


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


def table_text(columns: list[str], rows: list[tuple[Any, ...]]) -> str:
    """Rows as an aligned table; numbers stand on the right.

    >>> print(table_text(["head", "cosine"], [("L3H0", 0.5), ("L3H10", None)]))
    head   cosine
    -----  ------
    L3H0      0.5
    L3H10    null
    """
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [
        max([_width(name), *(_width(row[index]) for row in cells)])
        for index, name in enumerate(columns)
    ]
    is_number = [
        any(_is_number(row[index]) for row in rows)
        and all(row[index] is None or _is_number(row[index]) for row in rows)
        for index in range(len(columns))
    ]
    lines = [_line(columns, widths, is_number), "  ".join("-" * width for width in widths)]
    lines += [_line(row, widths, is_number) for row in cells]
    return "\n".join(lines)


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
