"""Spark as the engine of a session: on a cluster, or on the cores of this machine.

Relations that are kept for a session are tables of Parquet files in a folder that all machines of
the cluster see; temporary views with a cache were measured to take 8 times as long. What Python
computes or was handed is written there as well. Results come as Arrow, and are handed on as DuckDB
relations, as those of DuckDB are.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from ingest.dataset.manifest import KEPT_FOLDER
from ingest.dataset.relations import SQL_TYPES
from ingest.kernel.errors import HeadswapError, InputError
from ingest.kernel.spark_start import check_installed, start_spark
from sql.engines.shadow import Shadow
from sql.graph.relation import Relation

if TYPE_CHECKING:
    import pyarrow as pa

    from ingest.dataset.reader import Dataset
    from ingest.dataset.relations import StoredTable
    from sql.access.limits import Limits
    from sql.engines.engine import EngineChoice

# Types of stored columns, as Spark names them, where they are not those that queries see.
_STORED_TYPES = {"int16": "SMALLINT", "float32": "FLOAT", "weight": "FLOAT"}
_GLOB = str.maketrans({character: f"\\{character}" for character in "\\{}[]*?"})


def open_spark(
    choice: EngineChoice,
    dataset: Dataset,
    limits: Limits,
    connection: duckdb.DuckDBPyConnection,
) -> SparkEngine:
    """Spark for a session. connection: what results are handed on by.

    Raises: InputError where Spark is not installed, or cannot do what is asked.
    """
    _check_possible(dataset, limits)
    check_installed()
    return SparkEngine(choice.master, _made_warehouse(choice.warehouse, dataset), connection)


def _check_possible(dataset: Dataset, limits: Limits) -> None:
    """Raises: InputError where a limit or the dataset's files are none for Spark."""
    if limits.sandbox or limits.memory is not None:
        raise InputError(
            f"the engine spark has no {'sandbox' if limits.sandbox else 'bound of memory'}",
            hint="other people's queries are for the engine duckdb; "
            "spark-defaults.conf says what memory Spark takes",
        )
    rounded = [model.name for model in dataset.manifest.models if model.precision == "float16"]
    if rounded:
        raise InputError(
            f"the weights of {rounded[0]} are stored as float16, which Spark cannot read",
            hint="run it with the engine duckdb, or ingest with --precision float32",
        )


def _made_warehouse(chosen: Path | None, dataset: Dataset) -> Path:
    """A new folder for the tables of one session, which is removed after it."""
    parent = chosen or dataset.path / KEPT_FOLDER
    try:
        parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="spark-", dir=parent.resolve()))
    except OSError as error:
        raise InputError(
            f"the engine spark cannot write its tables into {parent}: {error.strerror}",
            hint="name a folder that every machine of the cluster sees with --warehouse",
        ) from error


class SparkEngine:
    """A Spark session with a database of its own. See `sql.engines.engine.Engine`.

    Spark starts with the first relation that is made, so that a query that is refused, or rests on
    nothing that is there, does not wait for it.
    """

    packages: tuple[str, ...] = ("pyspark", "sqlglot")

    def __init__(
        self, master: str | None, warehouse: Path, connection: duckdb.DuckDBPyConnection
    ) -> None:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        self.errors: tuple[type[Exception], ...] = (PySparkException, Py4JError, duckdb.Error)
        self._master, self._warehouse, self._connection = master, warehouse, connection
        self._database = f"headswap_{uuid.uuid4().hex}"
        self._n_files_views = 0
        self._stop: Callable[[], None] | None = None
        self._shadow = Shadow()

    @cached_property
    def _spark(self) -> Any:
        """The Spark session, started now.

        Raises: HeadswapError where it does not start.
        """
        spark, self._stop = start_spark(self._master)
        # Or a number too large would come out as another, and a division by 0 as nothing.
        spark.conf.set("spark.sql.ansi.enabled", "true")
        location = str(self._warehouse / "tables").replace("\\", "\\\\").replace("'", "\\'")
        spark.sql(f"create database {self._database} location '{location}'")
        spark.sql(f"use {self._database}")
        return spark

    def read_parquet(self, table: StoredTable, files: Sequence[str]) -> str:
        from sql.engines.spark_dialect import spark_type

        # With the types stated, no file is opened before it is needed.
        schema = ", ".join(
            f"`{column.name}` "
            f"{_STORED_TYPES.get(column.type) or spark_type(SQL_TYPES[column.type])}"
            for column in table.columns
        )
        return f'"{self._view_of(schema, [Path(file) for file in files])}"'

    def _view_of(self, schema: str, files: Sequence[Path]) -> str:
        """The name of a temporary view of Parquet files."""
        name = f"files_{self._n_files_views}"
        self._n_files_views += 1
        # Local, whatever the cluster's own file system is; Hadoop reads patterns in paths.
        paths = [f"file:{str(file.resolve()).translate(_GLOB)}" for file in files]
        self._spark.read.schema(schema).parquet(*paths).createTempView(name)
        return name

    def create_table(self, relation: Relation, rows: Sequence[Sequence[object]]) -> None:
        from sql.computed.arrow import rows_table

        self.register(relation, rows_table(rows, _arrow_schema(relation)))

    def register(self, relation: Relation, rows: pa.Table) -> None:
        import pyarrow.parquet as pq

        from sql.engines.spark_dialect import spark_type

        schema = _arrow_schema(relation)
        file = self._warehouse / f"{relation.name}.parquet"
        pq.write_table(rows.select(schema.names).cast(schema), file)
        types = ", ".join(f"`{c.name}` {spark_type(c.type)}" for c in relation.columns)
        name = self._view_of(types, [file])
        # What kept rows were made of need not be there.
        self._shadow.add(relation)
        self._run(f"create temporary view `{relation.name}` as select * from {name}")

    def create_table_as(self, relation: Relation, select: str) -> None:
        from sql.engines.spark_dialect import spark_sql

        self._shadow.add_select(relation)
        self._run(f"create table `{relation.name}` using parquet as {spark_sql(select)}")

    def create_view(self, relation: Relation, select: str) -> None:
        from sql.engines.spark_dialect import spark_sql

        if relation.kind == "select":
            self._shadow.add_select(relation)
        else:
            self._shadow.add(relation)
        self._run(f"create temporary view `{relation.name}` as {spark_sql(select)}")

    def query(
        self, sql: str, parameters: dict[str, Any] | None = None, at_most: int | None = None
    ) -> duckdb.DuckDBPyRelation:
        from sql.engines.spark_dialect import spark_sql

        columns = self._shadow.columns(sql, parameters)
        rows = self._run(spark_sql(sql), parameters, at_most)
        # By place: two columns may have one name.
        places = [f"c{place}" for place in range(len(columns))]
        typed = ", ".join(
            f'{place}::{kind} as "{name.replace(chr(34), chr(34) * 2)}"'
            for place, (name, kind) in zip(places, columns, strict=True)
        )
        return self._connection.from_arrow(rows.rename_columns(places)).project(typed)

    def _run(
        self, sql: str, parameters: dict[str, Any] | None = None, at_most: int | None = None
    ) -> pa.Table:
        try:
            frame = self._spark.sql(sql, args=parameters or None)
            return (frame if at_most is None else frame.limit(at_most)).toArrow()
        except KeyboardInterrupt:
            self.interrupt()
            raise

    def admit(self, sql: str, build: Callable[[], None]) -> None:
        # All of it before anything is made, which may take hours.
        self._shadow.check(sql)
        build()

    def list_relation(self, relation: Relation) -> None:
        """Nothing asks Spark for a list of relations: only SELECT is run."""

    def interrupt(self) -> None:
        if self._stop:
            self._spark.sparkContext.cancelAllJobs()

    def explained(self, error: Exception) -> HeadswapError:
        java = getattr(error, "java_exception", None)
        text = error.getMessage() if hasattr(error, "getMessage") else str(java or error)
        first_line = " ".join(str(text).strip().split("\n", 1)[0].split())
        message, _, _ = first_line.partition(" SQLSTATE: ")
        hint = None
        if "DIVIDE_BY_ZERO" in message:
            message, hint = "division by zero", "write x / nullif(y, 0)"
        elif "maxResultSize" in message:
            hint = "ask for fewer rows, or raise spark.driver.maxResultSize in spark-defaults.conf"
        return InputError(f"the query failed in Spark: {message}", hint=hint)

    def close(self) -> None:
        self._shadow.close()
        try:
            if self._stop:
                with suppress(*self.errors):  # of a Spark that has ended nothing else is left
                    self._spark.sql("use default")
                    self._spark.sql(f"drop database {self._database} cascade")
                self._stop()
        finally:
            shutil.rmtree(self._warehouse)


def _arrow_schema(relation: Relation) -> pa.Schema:
    """The columns of a relation in Arrow's types."""
    import pyarrow as pa

    types = {
        "smallint": pa.int16(),
        "integer": pa.int32(),
        "bigint": pa.int64(),
        "float": pa.float32(),
        "double": pa.float64(),
        "boolean": pa.bool_(),
        "varchar": pa.string(),
        "varchar[]": pa.list_(pa.string()),
        "double[]": pa.list_(pa.float64()),
    }
    return pa.schema([(column.name, types[column.type]) for column in relation.columns])
