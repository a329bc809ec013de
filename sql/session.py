"""A DuckDB session over one dataset: its files as tables, the analyses as views on them."""

from __future__ import annotations

import difflib
import importlib
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from ingest.dataset.reader import Dataset, open_dataset
from ingest.kernel.errors import InputError
from sql.access.limits import EXPLAIN, Limits, check_reads, lock, within
from sql.graph.catalog import KEPT, MATERIALISED, View, views
from sql.graph.kept import KeptViews
from sql.graph.tables import compared_pairs, extent_of, tables
from sql.parameters import Parameters, settled

if TYPE_CHECKING:
    from types import TracebackType

    import pyarrow as pa

_WORD = re.compile(r"\w+")
# What lists views: the one query that needs them all there, though none computed.
_CATALOG = re.compile(
    r"\b(show|information_schema|(duckdb|pg|sqlite|pragma)_\w+)\b|\bdescribe\s*;?\s*$"
)
_MISSING = re.compile(r"Table with name (\w+) does not exist")
_PATIENCE = 2.0  # seconds


class Session:
    """An in-memory database in which a dataset's tables and all views can be queried."""

    def __init__(
        self, dataset: Dataset, parameters: Parameters, limits: Limits | None = None
    ) -> None:
        self.dataset = dataset
        self.parameters = settled(parameters, dataset)
        self.limits = limits or Limits()
        self.connection = duckdb.connect(":memory:")
        lock(self.connection, self.limits, dataset.files())
        self._built: set[str] = set()
        self._is_listed = False
        self._kept = KeptViews(self.dataset, self.parameters, read_only=self.limits.sandbox)
        extent = extent_of(self.dataset, self.connection)
        for statement in tables(self.dataset, self.parameters, extent):
            self.connection.execute(statement)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.connection.close()

    @contextmanager
    def ask(self, sql: str) -> Iterator[duckdb.DuckDBPyRelation]:
        """Gives the result of somebody's query, which may only read, for as long as it may take.

        Raises: InputError where it is no single query, does not only read, has too many rows, or
        DuckDB refuses it; HeadswapError where it takes longer than it may.
        """
        try:
            with within(self.connection, self.limits.seconds):
                self._build_named_in(sql)
                check_reads(self.connection, sql)
                relation = self.connection.sql(sql)
                yield relation if self.limits.rows is None else self._bounded(relation)
        except duckdb.Error as error:
            raise query_error(error) from error

    def _bounded(self, relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
        """A result in memory, which has no more rows than it may."""
        assert self.limits.rows is not None
        rows = relation.limit(self.limits.rows + 1).to_arrow_table()
        if len(rows) > self.limits.rows:
            raise InputError(
                f"the result has more than {self.limits.rows:,} rows",
                hint="ask for fewer with WHERE or LIMIT, or allow more with --max-rows",
            )
        # Written by a connection of its own: that of the query may not write at all.
        return duckdb.connect(":memory:").from_arrow(rows)

    def query(self, sql: str, parameters: dict[str, Any] | None = None) -> duckdb.DuckDBPyRelation:
        """Runs one query of ours; `$name` in it takes its value from `parameters`.

        Raises: InputError where DuckDB refuses it.
        """
        try:
            self._build_named_in(sql)
            return self.connection.sql(sql, params=parameters)
        except duckdb.Error as error:
            raise query_error(error) from error

    def rows(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows of one query, each as a dict by column."""
        relation = self.query(sql, parameters)
        return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]

    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of models that are compared, each in both orders."""
        return compared_pairs(self.dataset, self.parameters)

    def _build_named_in(self, sql: str) -> None:
        """Makes the views that a query names, and lists them all for one that asks for a list.

        Any word counts, whether it names a view there or not: at worst a view is computed early.
        """
        words = sql.lower()
        for name in sorted(set(_WORD.findall(words)) & views().keys()):
            self._build(views()[name])
        if _CATALOG.search(words) and not self._is_listed:
            self._is_listed = True
            for view in views().values():
                if view.name not in self._built:
                    self.connection.execute(_create_listed(view))

    def _build(self, view: View) -> None:
        """Makes a view, as a table of its rows where worth it: the kept ones, or computed."""
        if view.name in self._built:
            return
        if view.name in KEPT and (rows := self._kept.read(view)) is not None:
            self._fill(view, rows)
        else:
            for source in view.reads:
                self._build(views()[source])
            with _announced(view.name):
                self._compute(view)
        self._built.add(view.name)

    def _compute(self, view: View) -> None:
        if view.computed_by:
            # What SQL cannot compute: random draws and assignments.
            module, _, function = view.computed_by.rpartition(".")
            self._fill(view, getattr(importlib.import_module(module), function)(self))
        else:
            kind = "table" if view.name in MATERIALISED else "view"
            self._drop_listed(view)
            self.connection.execute(f'create {kind} "{view.name}" as {view.select}')
        if view.name in KEPT:
            self._kept.write(view, self.connection.table(view.name).to_arrow_table())

    def _fill(self, view: View, rows: pa.Table) -> None:
        """Makes a view a table of the given rows."""
        columns = ", ".join(column.name for column in view.columns)
        self._drop_listed(view)
        self.connection.register("given_rows", rows)
        self.connection.execute(_create_table(view))
        self.connection.execute(f'insert into "{view.name}" select {columns} from given_rows')
        self.connection.unregister("given_rows")

    def _drop_listed(self, view: View) -> None:
        """Makes room for a view that stands there only to be listed."""
        if self._is_listed:
            self.connection.execute(f'drop view if exists "{view.name}"')


@contextmanager
def _announced(name: str) -> Iterator[None]:
    """Tells a person who waits, on stderr, what is being computed; nothing below 2 s."""
    message = f"computing {name}, once for this session"
    timer = threading.Timer(_PATIENCE, lambda: print(message, file=sys.stderr, flush=True))
    timer.daemon = True
    if sys.stderr.isatty():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _create_listed(view: View) -> str:
    """The statement that lists a view with its columns, without rows.

    DuckDB would bind the real one at once, and with it all that it reads.
    """
    columns = ", ".join(f"null::{column.type} as {column.name}" for column in view.columns)
    return f'create view "{view.name}" as select {columns} where false'


def _create_table(view: View) -> str:
    columns = ", ".join(f"{column.name} {column.type}" for column in view.columns)
    return f'create table "{view.name}" ({columns})'


def open_session(
    path: Path, parameters: Parameters | None = None, limits: Limits | None = None
) -> Session:
    """Opens a dataset folder for queries.

    Raises: DatasetError where it is none; InputError where a parameter does not fit it.
    """
    return Session(open_dataset(path), parameters or Parameters(), limits)


def query_error(error: duckdb.Error) -> InputError:
    """DuckDB's refusal of a query as one message.

    A query that fails is the user's to mend, whether it does not parse or runs out of memory.
    """
    message, _, where = str(error).partition("\n\nLINE ")
    first_line = " ".join(message.split("\n", 1)[0].split())
    suggestion = message.partition("Candidate bindings: ")[2].split("\n", 1)[0]
    if missing := _MISSING.search(first_line):
        suggestion = next(iter(difflib.get_close_matches(missing[1], views())), "")
    hint = f"did you mean {suggestion}?" if suggestion else None
    if missing:
        hint = " ".join(filter(None, (hint, "`headswap views` lists the views")))
    line = where.partition(": ")[2].split("\n", 1)[0].removeprefix(EXPLAIN).strip()
    place = f" (at {line[:80]})" if line else ""
    return InputError(f"the query failed: {first_line}{place}", hint=hint)
