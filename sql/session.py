"""A DuckDB session over one dataset: its files as tables, the analyses as views on them."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from ingest.dataset.errors import InputError
from ingest.dataset.reader import Dataset, open_dataset
from sql.catalog import MATERIALISED, views
from sql.output import write_result

if TYPE_CHECKING:
    from types import TracebackType

_HEAD_PATTERN = re.compile(r"[lL](\d{1,4})[hH](\d{1,4})")
_WORD = re.compile(r"\w+")
_READING = {
    duckdb.StatementType.SELECT,
    duckdb.StatementType.EXPLAIN,
    duckdb.StatementType.RELATION,
}


@dataclass(frozen=True)
class Parameters:
    """What the views are asked with: the one row of the table `parameters`.

    variant, reference_model: None for the dataset's own (the variant that it stored, `all` where
    prompts have none; its first model). reference_layer, reference_head: both None to let the data
    choose. pairs: the models to compare, each pair once in any order; none for every two.
    """

    bins: int = 20
    variant: str | None = None
    reference_model: str | None = None
    reference_layer: int | None = None
    reference_head: int | None = None
    pairs: tuple[tuple[str, str], ...] = ()


def parse_head(text: str) -> tuple[int, int]:
    """Reads a head's name.

    >>> parse_head("L3H0")
    (3, 0)

    Raises: InputError where it is none.
    """
    match = _HEAD_PATTERN.fullmatch(text)
    if match is None:
        raise InputError(f"{text!r} names no head", hint="write layer and head, as in L3H0")
    return int(match[1]), int(match[2])


class Session:
    """An in-memory database in which a dataset's tables and all views can be queried."""

    def __init__(self, dataset: Dataset, parameters: Parameters) -> None:
        self.dataset = dataset
        self.parameters = _settled(parameters, dataset)
        self.connection = duckdb.connect(":memory:")
        self._built: set[str] = set()
        self._create_tables()
        for view in views().values():
            self.connection.execute(f'create view "{view.name}" as {view.select}')

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
            self._materialise_named_in(view.select)
            if name in MATERIALISED:
                self.connection.execute(f'drop view "{name}"')
                self.connection.execute(f'create table "{name}" as {view.select}')

    def _create_tables(self) -> None:
        """The dataset's files, and the tables that the views read beside them."""
        manifest = self.dataset.manifest
        self.connection.execute(
            """create table parameters (bins integer, variant varchar, reference_model varchar,
            reference_layer integer, reference_head integer)"""
        )
        self.connection.execute(
            "insert into parameters values ($bins, $variant, $reference_model, $reference_layer, "
            "$reference_head)",
            {name: value for name, value in vars(self.parameters).items() if name != "pairs"},
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
            select model, layer.layer::integer as layer, head.head::integer as head
            from model_rows, range(n_layers) as layer(layer), range(n_heads) as head(head)"""
        )

    def _create_rows_view(self, name: str, source: str) -> None:
        self.connection.execute(f'create view "{name}" as select * from {source}')


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


def _settled(parameters: Parameters, dataset: Dataset) -> Parameters:
    """Fills what was left open from the dataset, and checks the rest against it."""
    manifest = dataset.manifest
    names = [model.name for model in manifest.models]
    if not 1 <= parameters.bins <= 10_000:
        raise InputError(f"{parameters.bins} bins are not possible", hint="give 1 to 10,000")
    reference = parameters.reference_model or names[0]
    if reference not in names:
        raise InputError(
            f"{dataset.path} has no model {reference!r}", hint=f"it has {', '.join(names)}"
        )
    _check_pairs(parameters, reference, names, dataset)
    if parameters.reference_layer is not None:
        _check_head(parameters, reference, dataset)
    stored = manifest.variant
    variant = parameters.variant or ("standard" if stored == "all" else stored)
    if variant not in ("all", stored) and stored != "all":
        raise InputError(
            f"{dataset.path} holds the variant {stored!r}, not {variant!r}",
            hint="ingest with --variant all to have every variant",
        )
    return replace(parameters, variant=variant, reference_model=reference)


def _check_pairs(
    parameters: Parameters, reference: str, names: list[str], dataset: Dataset
) -> None:
    for model in (model for pair in parameters.pairs for model in pair):
        if model not in names:
            raise InputError(
                f"{dataset.path} has no model {model!r}", hint=f"it has {', '.join(names)}"
            )
    if parameters.pairs and not any(reference in pair for pair in parameters.pairs):
        raise InputError(
            f"no pair holds {reference!r}, whose head is the reference",
            hint="name another with --reference MODEL:HEAD, or add a pair",
        )


def _check_head(parameters: Parameters, model: str, dataset: Dataset) -> None:
    table = dataset.read_table("models").to_pylist()
    shape = next(row for row in table if row["model"] == model)
    layer, head = parameters.reference_layer, parameters.reference_head
    if layer is None or head is None or layer >= shape["n_layers"] or head >= shape["n_heads"]:
        raise InputError(
            f"model {model!r} has no head L{layer}H{head}",
            hint=f"it has the layers 0 to {shape['n_layers'] - 1} "
            f"and the heads 0 to {shape['n_heads'] - 1}",
        )


def _read_parquet(files: list[str]) -> str:
    listed = ", ".join(_literal(file) for file in files)
    return f"read_parquet([{listed}], hive_partitioning = false)"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
