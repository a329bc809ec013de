"""Query results as tables for people and as files for machines."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from ingest.kernel.errors import HeadswapError, InputError
from ingest.kernel.files import written_aside
from ingest.kernel.text import printable
from sql.access.absent_values import absent_values
from sql.access.interrupts import interruptible
from sql.console.tables import table_lines, terminal_width
from sql.session import Session

_ENDINGS = {".csv": "csv", ".json": "json", ".parquet": "parquet", ".txt": "table"}
_NAMES = {"csv": "CSV", "json": "JSON", "parquet": "Parquet", "table": "a table of text"}
_COPY_OPTIONS = {
    "csv": "format csv, header",
    "json": "format json, array true",
    "parquet": "format parquet, compression zstd",
}
# Of a table that is printed, unless more are asked for.
SHOWN_ROWS = 50
# The columns of what EXPLAIN answers: the second holds a drawing.
_EXPLAINED = ["explain_key", "explain_value"]


@dataclass
class _Shown:
    """What was printed of a result. left_out: columns for which the terminal has no room."""

    n_rows: int = 0
    has_more: bool = False
    left_out: list[str] = field(default_factory=list)


def format_for(chosen: str | None, path: Path | None) -> str:
    """The output format: the one chosen, or that of the file's ending; on stdout a table.

    >>> (
    ...     format_for(None, Path("heads.parquet")),
    ...     format_for("csv", Path("heads")),
    ...     format_for(None, None),
    ... )
    ('parquet', 'csv', 'table')

    Raises: InputError where the file's ending names no format, or another than the one chosen.
    """
    if path is None:
        return chosen or "table"
    by_ending = _ENDINGS.get(path.suffix.lower())
    known = ", ".join(f"{ending} ({_NAMES[name]})" for ending, name in _ENDINGS.items())
    if not (chosen or by_ending):
        raise InputError(
            f"the name {path} does not say what to write",
            hint=f"end it in one of {known}, or choose with --format",
        )
    if chosen and by_ending and chosen != by_ending:
        raise InputError(
            f"{path} is the name of {_NAMES[by_ending]}, but {_NAMES[chosen]} is asked for",
            hint=f"leave --format and --json out, or end the name in one of {known}",
        )
    format_name = chosen or by_ending
    assert format_name is not None
    return format_name


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


def print_answer(session: Session, query: str, n_shown: int | None, how_to_see_more: str) -> None:
    """Prints the answer to a query as a table to stdout, and to stderr how many rows it has.

    n_shown: the most rows, None for all. how_to_see_more: said where there are more.

    Raises: InputError, HeadswapError as `Session.ask`; KeyboardInterrupt after Ctrl-C.
    """
    began = time.perf_counter()
    # One row more than is shown tells that there are more, without computing them all.
    at_most = None if n_shown is None else n_shown + 1
    with interruptible(session.connection), session.ask(query, at_most) as relation:
        if list(relation.columns) == _EXPLAINED:
            for _, drawing in relation.fetchall():
                print("\n".join(map(printable, drawing.rstrip("\n").split("\n"))))
            return
        shown = _print_table(relation, n_shown)
        seconds = time.perf_counter() - began
        notes = absent_values(session, query) if not shown.n_rows else []
    sys.stdout.flush()
    if shown.left_out:
        names = ", ".join(map(printable, shown.left_out))
        print(f"no room for {names}: widen the terminal, or name fewer columns", file=sys.stderr)
    counted = f"{_rows(shown.n_rows)} in {_seconds(seconds)}"
    more = f"the first {counted}, there are more: {how_to_see_more}"
    print(more if shown.has_more else counted, file=sys.stderr)
    for note in notes:
        print(printable(note), file=sys.stderr)


def write_answer(session: Session, query: str, result_format: str, path: Path | None) -> None:
    """Writes the whole answer to a query to a file, replaced in one step, or to stdout.

    Of a file, says on stderr what was written.

    Raises: InputError for Parquet on a terminal, or as `Session.ask`; HeadswapError where the file
    cannot be written.
    """
    if path is None and result_format == "parquet" and sys.stdout.isatty():
        raise InputError("Parquet is not for a terminal", hint="name a file with -o FILE")
    began = time.perf_counter()
    with interruptible(session.connection), session.ask(query) as relation:
        if path is None:
            n_rows = _to_stdout(relation, result_format)
        else:
            with written_aside(path) as partial:
                n_rows = _write(relation, result_format, partial)
        notes = absent_values(session, query) if not n_rows else []
    if path is not None:
        what = f"{_rows(n_rows)} as {_NAMES[result_format]}"
        seconds = time.perf_counter() - began
        print(f"{printable(str(path))}: {what} in {_seconds(seconds)}", file=sys.stderr)
    for note in notes:
        print(printable(note), file=sys.stderr)


def _print_table(relation: duckdb.DuckDBPyRelation, n_shown: int | None) -> _Shown:
    shown = _Shown()
    if n_shown is None:
        rows: Iterable[tuple[Any, ...]] = _counted(relation.iter_rows(), shown)
    else:
        found = relation.limit(n_shown + 1).fetchall()
        rows, shown.has_more = _counted(found[:n_shown], shown), len(found) > n_shown
    for line in table_lines(relation.columns, rows, terminal_width(), shown.left_out):
        print(line)
    return shown


def _counted(rows: Iterable[tuple[Any, ...]], shown: _Shown) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        shown.n_rows += 1
        yield row


def _to_stdout(relation: duckdb.DuckDBPyRelation, result_format: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "result"
        n_rows = _write(relation, result_format, file)
        sys.stdout.flush()
        with file.open("rb") as content:
            shutil.copyfileobj(content, sys.stdout.buffer)
    return n_rows


def _write(relation: duckdb.DuckDBPyRelation, result_format: str, path: Path) -> int:
    """Writes a result to a file and returns its number of rows."""
    if result_format == "table":
        shown = _Shown()
        rows = _counted(relation.iter_rows(), shown)
        with path.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in table_lines(relation.columns, rows))
        return shown.n_rows
    target = str(path).replace("'", "''")
    statement = f"copy headswap_result to '{target}' ({_COPY_OPTIONS[result_format]})"
    try:
        counted = relation.query("headswap_result", statement)
    except duckdb.IOException as error:
        if str(path) not in str(error):
            raise  # a file that the query reads
        raise HeadswapError(
            f"cannot write the result: {str(error).splitlines()[0]}",
            hint="check that the folder is writable and has room, then run again",
        ) from error
    assert counted is not None  # DuckDB answers a COPY with the number of rows
    ((n_rows,),) = counted.fetchall()
    return int(n_rows)


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number:,} rows"


def _seconds(seconds: float) -> str:
    """A time as a person wants it: two digits below 10 s."""
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:,.0f} s"
