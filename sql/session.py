"""A DuckDB session over one dataset: its files as tables, the analyses as views on them."""

from __future__ import annotations

import importlib
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from ingest.dataset.errors import InputError
from ingest.dataset.reader import Dataset, open_dataset
from sql.catalog import KEPT, MATERIALISED, View, views
from sql.kept import KeptViews
from sql.output import write_result
from sql.parameters import Parameters, settled
from sql.tables import compared_pairs, tables

if TYPE_CHECKING:
    from types import TracebackType

    import pyarrow as pa

_WORD = re.compile(r"\w+")
_PATIENCE = 2.0  # seconds
_READING = {
    duckdb.StatementType.SELECT,
    duckdb.StatementType.EXPLAIN,
    duckdb.StatementType.RELATION,
}


class Session:
    """An in-memory database in which a dataset's tables and all views can be queried."""

    def __init__(self, dataset: Dataset, parameters: Parameters) -> None:
        self.dataset = dataset
        self.parameters = settled(parameters, dataset)
        self.connection = duckdb.connect(":memory:")
        # DuckDB would draw it on stdout, into the data.
        self.connection.execute("set enable_progress_bar = false")
        self._built: set[str] = set()
        self._kept = KeptViews(self.dataset, self.parameters)
        for statement in tables(self.dataset, self.parameters):
            self.connection.execute(statement)
        for view in views().values():
            self.connection.execute(_create(view))

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.connection.close()

    def query(self, sql: str, parameters: dict[str, Any] | None = None) -> duckdb.DuckDBPyRelation:
        """Runs one query; `$name` in it takes its value from `parameters`.

        Raises: InputError where it is no single query, or DuckDB refuses it.
        """
        try:
            statements = self.connection.extract_statements(sql)
            if len(statements) != 1:
                raise InputError(
                    f"{len(statements)} statements instead of one query",
                    hint='give one query, for example "select * from swap_claims"',
                )
            if statements[0].type not in _READING:
                raise InputError(
                    f"a {statements[0].type.name} statement does not only read",
                    hint="a dataset is read with SELECT, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN",
                )
            self._materialise_named_in(sql)
            return self.connection.sql(statements[0].query, params=parameters)
        except duckdb.Error as error:
            raise query_error(error) from error

    def rows(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows of one query, each as a dict by column."""
        relation = self.query(sql, parameters)
        return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]

    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of models that are compared, each in both orders."""
        return compared_pairs(self.dataset, self.parameters)

    def write(
        self, relation: duckdb.DuckDBPyRelation, result_format: str, path: Path | None
    ) -> None:
        """Writes a query's result to a file or to stdout, as one of `sql.output.FORMATS`.

        Raises: InputError where DuckDB fails on the way (a cast, memory), HeadswapError where the
        file cannot be written.
        """
        try:
            write_result(self.connection, relation, result_format, path)
        except duckdb.Error as error:
            raise query_error(error) from error

    def _materialise_named_in(self, sql: str) -> None:
        """Replaces the views that a query names, where worth it, by their rows.

        Any word counts, whether it names a view there or not: at worst a view is computed early.
        """
        for name in sorted(set(_WORD.findall(sql.lower())) & views().keys()):
            self._materialise(views()[name])

    def _materialise(self, view: View) -> None:
        """Replaces a view by its rows, the kept ones or computed after all that it reads."""
        if view.name in self._built:
            return
        self._built.add(view.name)
        if view.name in KEPT and (rows := self._kept.read(view)) is not None:
            self._fill(view, rows)
            return
        for source in view.reads:
            self._materialise(views()[source])
        with _announced(view.name):
            self._compute(view)

    def _compute(self, view: View) -> None:
        """Makes a view a table of its rows, where worth it, and keeps them, where worth it."""
        if view.computed_by:
            # What SQL cannot compute: random draws and assignments.
            module, _, function = view.computed_by.rpartition(".")
            self._fill(view, getattr(importlib.import_module(module), function)(self))
        elif view.name in MATERIALISED:
            self.connection.execute(f'drop view "{view.name}"')
            self.connection.execute(f'create table "{view.name}" as {view.select}')
        if view.name in KEPT:
            self._kept.write(view, self.connection.table(view.name).to_arrow_table())

    def _fill(self, view: View, rows: pa.Table) -> None:
        """Makes a view a table of the given rows."""
        kind = "table" if view.computed_by else "view"
        columns = ", ".join(column.name for column in view.columns)
        self.connection.register("given_rows", rows)
        self.connection.execute(f'drop {kind} "{view.name}"')
        self.connection.execute(_create_table(view))
        self.connection.execute(f'insert into "{view.name}" select {columns} from given_rows')
        self.connection.unregister("given_rows")


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


def _create(view: View) -> str:
    """The statement that makes a view; a computed one is a table, empty until it is asked for."""
    if view.computed_by:
        return _create_table(view)
    return f'create view "{view.name}" as {view.select}'


def _create_table(view: View) -> str:
    columns = ", ".join(f"{column.name} {column.type}" for column in view.columns)
    return f'create table "{view.name}" ({columns})'


def open_session(path: Path, parameters: Parameters | None = None) -> Session:
    """Opens a dataset folder for queries.

    Raises: DatasetError where it is none; InputError where a parameter does not fit it.
    """
    return Session(open_dataset(path), parameters or Parameters())


def query_error(error: duckdb.Error) -> InputError:
    """DuckDB's refusal of a query as one message.

    A query that fails is the user's to mend, whether it does not parse or runs out of memory.
    """
    message, _, where = str(error).partition("\n\nLINE ")
    first_line = " ".join(message.split("\n", 1)[0].split())
    suggestion = message.partition("Candidate bindings: ")[2].split("\n", 1)[0]
    hint = f"did you mean {suggestion}?" if suggestion else None
    place = f" (at {where.splitlines()[0].partition(': ')[2].strip()[:80]})" if where else ""
    return InputError(f"the query failed: {first_line}{place}", hint=hint)
