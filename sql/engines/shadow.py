"""The relations without their rows in DuckDB, which says of a query what it means there.

Its names of columns, their types and its refusals are those of the engine that the SQL is written
for, so that a result from another engine has the same columns, and the same mistake the same
message.
"""

from __future__ import annotations

from typing import Any

import duckdb

from sql.access.limits import Limits, check_reads, lock
from sql.graph.catalog import declared
from sql.graph.names import table_names
from sql.graph.relation import Relation


class Shadow:
    """An in-memory database in which every relation has its columns and no row."""

    def __init__(self) -> None:
        self._connection = duckdb.connect(":memory:")
        lock(self._connection, Limits(), [])
        self._there: set[str] = set()

    def add(self, relation: Relation) -> None:
        """Adds a relation with its columns, in place of what stood for it."""
        columns = ", ".join(f'null::{c.type} as "{c.name}"' for c in relation.columns)
        self._make(relation.name, f"select {columns} where false")

    def add_select(self, relation: Relation) -> None:
        """Adds a relation with the columns that its SELECT gives from those that are there.

        Numbers of places are as small as the dataset allows, and so is what is made of them.
        """
        self._make(relation.name, f"select * from ({relation.definition}) where false")

    def _make(self, name: str, select: str) -> None:
        self._connection.execute(f'create or replace table "{name}" as {select}')
        self._there.add(name)

    def columns(self, sql: str, parameters: dict[str, Any] | None = None) -> list[tuple[str, str]]:
        """Name and type of each column of a query's result.

        Raises: duckdb.Error where DuckDB refuses it.
        """
        self._add_named_in(sql)
        found = self._connection.sql(sql, params=parameters)
        return list(zip(found.columns, map(str, found.types), strict=True))

    def check(self, sql: str) -> None:
        """Refuses somebody's query that does not only read, or cannot be run by another engine.

        Raises: InputError, duckdb.Error.
        """
        # Not at the top: only sessions on Spark need the translator.
        from sql.engines.spark_dialect import spark_sql

        self._add_named_in(sql)
        spark_sql(sql)
        check_reads(self._connection, sql)

    def _add_named_in(self, sql: str) -> None:
        for name in (table_names(sql) & declared().keys()) - self._there:
            self.add(declared()[name])

    def close(self) -> None:
        """Ends it."""
        self._connection.close()
