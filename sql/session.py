"""A DuckDB session over one dataset: its files as tables, the analyses as views on them."""

from __future__ import annotations

import importlib
import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from ingest.dataset.errors import InputError
from ingest.dataset.reader import Dataset, open_dataset
from sql.catalog import MATERIALISED, View, views
from sql.output import write_result
from sql.parameters import Parameters, settled

if TYPE_CHECKING:
    from types import TracebackType

_WORD = re.compile(r"\w+")
_PARAMETER_COLUMNS = (
    "bins",
    "variant",
    "reference_model",
    "reference_layer",
    "reference_head",
    "similarity",
)
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
        self._built: set[str] = set()
        self._create_tables()
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
        names = [model.name for model in self.dataset.manifest.models]
        chosen = self.parameters.pairs or tuple(itertools.combinations(names, 2))
        return [order for pair in chosen for order in (pair, pair[::-1])]

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
        for name in sorted(set(_WORD.findall(sql.lower())) & views().keys() - self._built):
            self._built.add(name)
            view = views()[name]
            self._materialise_named_in(" ".join(view.reads))
            if view.computed_by:
                self._fill(view)
            elif name in MATERIALISED:
                self.connection.execute(f'drop view "{name}"')
                self.connection.execute(f'create table "{name}" as {view.select}')

    def _fill(self, view: View) -> None:
        """Computes what SQL cannot: random draws and assignments."""
        assert view.computed_by is not None
        module, _, function = view.computed_by.rpartition(".")
        rows = getattr(importlib.import_module(module), function)(self)
        self.connection.register("computed_rows", rows)
        columns = ", ".join(column.name for column in view.columns)
        self.connection.execute(f'insert into "{view.name}" select {columns} from computed_rows')
        self.connection.unregister("computed_rows")

    def _create_tables(self) -> None:
        """The dataset's files, and the tables that the views read beside them."""
        manifest = self.dataset.manifest
        self.connection.execute(
            """create table parameters (bins integer, variant varchar, reference_model varchar,
            reference_layer integer, reference_head integer, similarity varchar)"""
        )
        self.connection.execute(
            "insert into parameters values ($bins, $variant, $reference_model, $reference_layer, "
            "$reference_head, $similarity)",
            {name: getattr(self.parameters, name) for name in _PARAMETER_COLUMNS},
        )
        self.connection.execute(
            """create table claim_rows (claim varchar, model_a varchar, layer_a integer,
            head_a integer, model_b varchar, layer_b integer, head_b integer, test varchar,
            bound double)"""
        )
        for claim in dict.fromkeys(self.parameters.claims):
            self.connection.execute(
                "insert into claim_rows values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                list(vars(claim).values()),
            )
        self.connection.execute("create table pairs (model_a varchar, model_b varchar)")
        for pair in self.pairs():
            self.connection.execute("insert into pairs values (?, ?)", pair)
        self.connection.execute("create table bins (bin integer)")
        self.connection.executemany(
            "insert into bins values (?)", [[bin_] for bin_ in range(self.parameters.bins)]
        )
        for table in manifest.tables:
            files = [str(path) for path in self.dataset.table_files(table)]
            self._create_rows_view(f"{table.removesuffix('s')}_rows", _read_parquet(files))
        models = [
            f"select {_literal(model)} as model, * from {_read_parquet([str(f) for f in files])}"
            for model, files in self.dataset.attention_files().items()
        ]
        self._create_rows_view("attention_rows", f"({' union all '.join(models)})")
        self.connection.execute(
            """create table heads as
            select model, layer.layer::integer as layer, head.head::integer as head,
                (row_number() over (order by model, layer.layer, head.head) - 1)::integer as head_id
            from model_rows, range(n_layers) as layer(layer), range(n_heads) as head(head)"""
        )

    def _create_rows_view(self, name: str, source: str) -> None:
        self.connection.execute(f'create view "{name}" as select * from {source}')


def _create(view: View) -> str:
    """The statement that makes a view; a computed one is a table, empty until it is asked for."""
    if view.computed_by is None:
        return f'create view "{view.name}" as {view.select}'
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


def _read_parquet(files: list[str]) -> str:
    listed = ", ".join(_literal(file) for file in files)
    return f"read_parquet([{listed}], hive_partitioning = false)"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
