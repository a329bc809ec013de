"""DuckDB as the engine of a session: in this process, on the cores of this machine."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import duckdb

from ingest.kernel.errors import HeadswapError, InputError
from sql.access.limits import EXPLAIN, check_reads
from sql.graph.catalog import declared
from sql.graph.literals import insert_rows, literal
from sql.graph.relation import Relation, create_table

if TYPE_CHECKING:
    import pyarrow as pa

    from ingest.dataset.relations import StoredTable

_MISSING = re.compile(r"Table with name (\w+) does not exist")


def read_parquet(files: Sequence[str]) -> str:
    """What FROM reads files by."""
    return f"read_parquet([{', '.join(map(literal, files))}], hive_partitioning = false)"


class DuckdbEngine:
    """An in-memory database. See `sql.engines.engine.Engine`."""

    packages: tuple[str, ...] = ("duckdb",)
    errors: tuple[type[Exception], ...] = (duckdb.Error,)

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._listed: set[str] = set()

    def read_parquet(self, table: StoredTable, files: Sequence[str]) -> str:
        return read_parquet(files)

    def create_table(self, relation: Relation, rows: Sequence[Sequence[object]]) -> None:
        self._drop_listed(relation.name)
        self._connection.execute(create_table(relation))
        if insert := insert_rows(relation.name, rows):
            self._connection.execute(insert)

    def register(self, relation: Relation, rows: pa.Table) -> None:
        columns = ", ".join(column.name for column in relation.columns)
        self._drop_listed(relation.name)
        self._connection.register("given_rows", rows)
        self._connection.execute(create_table(relation))
        self._connection.execute(f'insert into "{relation.name}" select {columns} from given_rows')
        self._connection.unregister("given_rows")

    def create_table_as(self, relation: Relation, select: str) -> None:
        self._drop_listed(relation.name)
        self._connection.execute(f'create table "{relation.name}" as {select}')

    def create_view(self, relation: Relation, select: str) -> None:
        self._drop_listed(relation.name)
        self._connection.execute(f'create view "{relation.name}" as {select}')

    def query(
        self, sql: str, parameters: dict[str, Any] | None = None, at_most: int | None = None
    ) -> duckdb.DuckDBPyRelation:
        # Nothing is computed before rows are asked for, and then no more than these need.
        return self._connection.sql(sql, params=parameters)

    def admit(self, sql: str, build: Callable[[], None]) -> None:
        build()  # first, as its plan is looked at
        check_reads(self._connection, sql)

    def list_relation(self, relation: Relation) -> None:
        # DuckDB would bind the real one at once, and with it all that it reads.
        columns = ", ".join(f"null::{column.type} as {column.name}" for column in relation.columns)
        self._connection.execute(f'create view "{relation.name}" as select {columns} where false')
        self._listed.add(relation.name)

    def _drop_listed(self, name: str) -> None:
        """Makes room for a relation that stands there only to be listed."""
        if name in self._listed:
            self._listed.remove(name)
            self._connection.execute(f'drop view "{name}"')

    def interrupt(self) -> None:
        self._connection.interrupt()

    def explained(self, error: Exception) -> HeadswapError:
        assert isinstance(error, duckdb.Error)
        return query_error(error)

    def close(self) -> None:
        self._connection.close()


def query_error(error: duckdb.Error) -> InputError:
    """DuckDB's refusal of a query as one message.

    A query that fails is the user's to mend, whether it does not parse or runs out of memory.
    """
    message, _, where = str(error).partition("\n\nLINE ")
    first_line = " ".join(message.split("\n", 1)[0].split())
    suggestion = message.partition("Candidate bindings: ")[2].split("\n", 1)[0]
    if missing := _MISSING.search(first_line):
        suggestion = next(iter(difflib.get_close_matches(missing[1], declared())), "")
    hint = f"did you mean {suggestion}?" if suggestion else None
    if missing:
        hint = " ".join(filter(None, (hint, "`headswap views` lists the relations")))
    line = where.partition(": ")[2].split("\n", 1)[0].removeprefix(EXPLAIN).strip()
    place = f" (at {line[:80]})" if line else ""
    return InputError(f"the query failed: {first_line}{place}", hint=hint)
