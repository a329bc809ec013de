"""What a session asks of an engine, so that no relation is written twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from ingest.kernel.errors import HeadswapError, InputError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from ingest.dataset.relations import StoredTable
    from sql.graph.relation import Relation

EngineName = Literal["duckdb", "spark"]


@dataclass(frozen=True)
class EngineChoice:
    """Which engine a session runs on.

    master: of Spark, the address of the cluster, spark://HOST:PORT for instance; None for that of
    Spark's own configuration, else the cores of this machine. warehouse: of Spark, the folder for
    tables while the session lasts, which every machine of the cluster must see; None for the
    dataset's own `views/`.
    """

    name: EngineName = "duckdb"
    master: str | None = None
    warehouse: Path | None = None

    def __post_init__(self) -> None:
        """Raises: InputError for an unknown engine, or where what is said is not for this one."""
        known = get_args(EngineName)
        if self.name not in known:
            raise InputError(
                f"there is no engine {self.name!r}", hint=f"choose one of {', '.join(known)}"
            )
        for word, value in (("master", self.master), ("warehouse", self.warehouse)):
            if value is not None and self.name != "spark":
                raise InputError(
                    f"a {word} is for Spark alone", hint="choose the engine spark with it"
                )


class Engine(Protocol):
    """Makes relations and answers queries, both written in DuckDB's SQL.

    packages: what the rows of a SELECT rest on beside the SELECT: their versions are part of what
    a kept relation is known by. errors: what it raises where it refuses something, DuckDB's among
    them, which the session explains: rows are handed on as DuckDB's relations.
    """

    packages: tuple[str, ...]
    errors: tuple[type[Exception], ...]

    def read_parquet(self, table: StoredTable, files: Sequence[str]) -> str:
        """What FROM reads the files of a stored table by, in the types that they are stored in."""
        ...

    def create_table(self, relation: Relation, rows: Sequence[Sequence[object]]) -> None:
        """Makes a relation a table of a few rows."""
        ...

    def register(self, relation: Relation, rows: pa.Table) -> None:
        """Makes a relation a table of the given rows, by the names of its columns."""
        ...

    def create_table_as(self, relation: Relation, select: str) -> None:
        """Makes a relation a table of what a SELECT gives now."""
        ...

    def create_view(self, relation: Relation, select: str) -> None:
        """Makes a relation a SELECT that every query of it runs anew."""
        ...

    def query(
        self, sql: str, parameters: dict[str, Any] | None = None, at_most: int | None = None
    ) -> duckdb.DuckDBPyRelation:
        """The rows of a query of ours; `$name` in it takes its value from `parameters`.

        at_most: as many rows, or a few more, are all that is looked at.

        Returns: what DuckDB computes when it is asked for, or the Arrow rows of another engine.
        """
        ...

    def admit(self, sql: str, build: Callable[[], None]) -> None:
        """Checks somebody's query, and has the relations made that it names, by `build`.

        Raises: InputError where it does not only read, or the engine cannot run it.
        """
        ...

    def list_relation(self, relation: Relation) -> None:
        """Lists a relation with its columns among the engine's own, though it is not made yet."""
        ...

    def interrupt(self) -> None:
        """Stops what it is doing; may be called from another thread."""
        ...

    def explained(self, error: Exception) -> HeadswapError:
        """One of `errors` that is not DuckDB's as a message."""
        ...

    def close(self) -> None:
        """Ends it, and removes what it wrote."""
        ...
