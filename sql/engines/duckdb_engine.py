"""DuckDB as the engine of a session: in this process, on the cores of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import duckdb

from sql.access.limits import check_reads
from sql.graph.literals import insert_rows, literal
from sql.graph.relation import Relation, create_table

if TYPE_CHECKING:
    import pyarrow as pa

    from ingest.dataset.relations import StoredTable
    from ingest.kernel.errors import HeadswapError


def read_parquet(files: Iterable[str]) -> str:
    """What FROM reads files by, each an expression."""
    return f"read_parquet([{', '.join(files)}], hive_partitioning = false)"


class DuckdbEngine:
    """An in-memory database. See `sql.engines.engine.Engine`."""

    packages: tuple[str, ...] = ("duckdb",)
    errors: tuple[type[Exception], ...] = (duckdb.Error,)

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._listed: set[str] = set()

    def read_parquet(self, table: StoredTable, files: Sequence[str]) -> str:
        return read_parquet(map(literal, files))

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
        raise AssertionError("DuckDB raises no errors but its own") from error

    def close(self) -> None:
        self._connection.close()
