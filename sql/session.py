"""A session over one dataset: its files as tables, the analyses as views on them."""

from __future__ import annotations

import importlib
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from ingest.dataset.reader import Dataset, open_dataset
from ingest.kernel.errors import HeadswapError, InputError
from sql.access.limits import Limits, lock, within
from sql.access.refusals import query_error
from sql.engines.duckdb_engine import DuckdbEngine
from sql.engines.engine import Engine, EngineChoice
from sql.graph.ancestry import Ancestry
from sql.graph.catalog import declared, reads_of
from sql.graph.kept import KeptRelations
from sql.graph.names import WORD, table_names
from sql.graph.parameter_tables import Asked, as_asked, compared_pairs, parameter_rows
from sql.graph.relation import Relation
from sql.graph.stored import PLACED_ATTENTION, stored_select, stored_table
from sql.parameters import Parameters, completed

if TYPE_CHECKING:
    from types import TracebackType

    import polars as pl

# What lists relations: the one query that needs them all there, though none computed.
_CATALOG = re.compile(
    r"\b(show|information_schema|(duckdb|pg|sqlite|pragma)_\w+)\b|\bdescribe\s*;?\s*$"
)
_PATIENCE = 2.0  # seconds

T = TypeVar("T")


class Session:
    """A dataset's tables and all views, ready to be queried.

    connection: DuckDB in this process. It reads the small files, and holds results while they are
    printed or written; with DuckDB as the engine, all the rest as well.
    """

    def __init__(
        self,
        dataset: Dataset,
        parameters: Parameters,
        limits: Limits | None = None,
        engine: EngineChoice | None = None,
    ) -> None:
        self.dataset = dataset
        self.parameters = completed(parameters, dataset)
        self.limits = limits or Limits()
        self.connection = duckdb.connect(":memory:")
        if dataset.file_system is not None:
            self.connection.register_filesystem(dataset.file_system)
            # Where the parts of its files lie is asked once, as they do not change.
            self.connection.execute("set parquet_metadata_cache = true")
        lock(self.connection, self.limits, dataset.readable)
        self._asked = Asked(dataset, self.parameters, self.connection)
        self._known_names: dict[str, tuple[str, ...]] = {}
        self._built: set[str] = set()
        # What several computed relations are made of, by name.
        self.shared: dict[str, Any] = {}
        self._is_listed = False
        self._engine = self._opened(engine or EngineChoice())
        self._kept = KeptRelations(
            dataset.path,
            Ancestry(self._asked, self._engine.packages),
            read_only=self.limits.sandbox,
        )

    def _opened(self, choice: EngineChoice) -> Engine:
        if choice.name == "duckdb":
            return DuckdbEngine(self.connection)
        # Not at the top: a program that does not ask for Spark need not have it.
        from sql.engines.spark_engine import open_spark

        return open_spark(choice, self.dataset, self.limits, self.connection)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees what it holds in memory, and removes what its engine wrote."""
        self._engine.close()
        self.connection.close()

    @contextmanager
    def ask(self, sql: str, at_most: int | None = None) -> Iterator[duckdb.DuckDBPyRelation]:
        """Gives the result of somebody's query, which may only read, for as long as it may take.

        at_most: no more rows than these are looked at; None for all.

        Raises: InputError where it is no single query, does not only read, has too many rows, or
        the engine refuses it; HeadswapError where it takes longer than it may.
        """
        bounds = (None if self.limits.rows is None else self.limits.rows + 1, at_most)
        looked_at = min((bound for bound in bounds if bound is not None), default=None)
        try:
            with within(self._engine, self.limits.seconds):
                self._engine.admit(sql, lambda: self._build_named_in(sql))
                relation = self._engine.query(sql, at_most=looked_at)
                yield relation if self.limits.rows is None else self._bounded(relation)
        except self._engine.errors as error:
            raise self._error(error, sql) from error

    def _error(self, error: Exception, sql: str) -> HeadswapError:
        """What the engine refuses, or why files of a dataset that lies elsewhere do not come."""
        files = self.dataset.file_system
        if files and (failure := files.pop_failure()):
            return failure
        models = [model.name for model in self.dataset.manifest.models]
        if isinstance(error, duckdb.Error):
            return query_error(error, sql, self.names_in(sql), models)
        return self._engine.explained(error)

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

        Raises: InputError where the engine refuses it.
        """
        try:
            self._build_named_in(sql)
            return self._engine.query(sql, parameters)
        except self._engine.errors as error:
            raise self._error(error, sql) from error

    def rows(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows of one query, each as a dict by column."""
        relation = self.query(sql, parameters)
        return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]

    def frame(self, sql: str, parameters: dict[str, Any] | None = None) -> pl.DataFrame:
        """The rows of one query as a polars data frame."""
        frame: pl.DataFrame = self.query(sql, parameters).pl()
        return frame

    def names_in(self, sql: str) -> tuple[str, ...]:
        """The relations that one statement names, in alphabetical order."""
        if sql not in self._known_names:
            # Parsing takes longer than many a query: only where a word is a relation's name.
            words = declared().keys() & set(WORD.findall(sql.lower()))
            self._known_names[sql] = tuple(sorted(words & table_names(sql))) if words else ()
        return self._known_names[sql]

    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of models that are compared, each in both orders."""
        return compared_pairs(self.dataset, self.parameters)

    def _build_named_in(self, sql: str) -> None:
        """Makes the relations that a query names; lists them all for one that asks for a list."""
        for name in self.names_in(sql):
            self._build(declared()[name])
        if not self._is_listed and _CATALOG.search(sql.lower()):
            self._is_listed = True
            for relation in declared().values():
                if relation.name not in self._built:
                    self._engine.list_relation(relation)

    def _build(self, relation: Relation) -> None:
        """Makes a relation, as a table of its rows where worth it: the kept ones, or computed."""
        if relation.name in self._built:
            return
        if relation.storage == "kept" and (rows := self._kept.read(relation)) is not None:
            self._engine.register(relation, rows)
        else:
            for source in reads_of(relation.name):
                self._build(declared()[source])
            with _announced(relation.name):
                self._compute(relation)
        self._built.add(relation.name)

    def _compute(self, relation: Relation) -> None:
        name, engine = relation.name, self._engine
        if relation.kind == "stored":
            is_placed = name == PLACED_ATTENTION
            typed = as_asked(relation, self._asked) if is_placed else relation
            engine.create_view(typed, self._stored(relation))
        elif relation.kind == "parameters":
            engine.create_table(as_asked(relation, self._asked), parameter_rows(name, self._asked))
        elif relation.kind == "computed":
            module, _, function = relation.definition.rpartition(".")
            compute = getattr(importlib.import_module(module), function)
            engine.register(relation, compute(Inputs(self, relation.reads)))
        elif relation.storage == "view":
            engine.create_view(relation, relation.definition)
        else:
            engine.create_table_as(relation, relation.definition)
        if relation.storage == "kept":
            rows = engine.query(f'select * from "{name}"').to_arrow_table()
            self._kept.write(relation, rows)

    def _stored(self, relation: Relation) -> str:
        table = stored_table(relation)
        if not self.dataset.manifest.files_of(table.name):
            raise InputError(
                f"{self.dataset.name} has no rows of the table {table.name}",
                hint=f"`headswap {table.made_by}` makes them",
            )
        places = self._asked.prompt_places()
        return stored_select(relation, self.dataset, places, self._engine.read_parquet)


class Inputs:
    """What a function that computes a relation may read: the relations that it declares."""

    def __init__(self, session: Session, reads: Sequence[str]) -> None:
        self._session, self._reads = session, frozenset(reads)

    @property
    def parameters(self) -> Parameters:
        """What was asked."""
        assert "parameters" in self._reads, "the relation does not declare that it reads parameters"
        return self._session.parameters

    def attention_files(self, model: str) -> list[Path]:
        """The files of a model's attention, for what reads them batch by batch."""
        assert "attention" in self._reads, "the relation does not declare that it reads attention"
        return self._session.dataset.table_files("attention", model)

    def shared(self, name: str, make: Callable[[], T], reads: Sequence[str]) -> T:
        """What several relations of a session are computed from, made once.

        reads: the relations that it is made of, which each of those must declare.
        """
        assert self._reads.issuperset(reads), f"the relation does not declare that it reads {reads}"
        if name not in self._session.shared:
            self._session.shared[name] = make()
        found: T = self._session.shared[name]
        return found

    def query(self, sql: str, parameters: dict[str, Any] | None = None) -> duckdb.DuckDBPyRelation:
        """Runs a query over declared relations; another would leave kept rows that are stale."""
        undeclared = set(self._session.names_in(sql)) - self._reads
        assert not undeclared, f"the relation does not declare that it reads {undeclared}"
        return self._session.query(sql, parameters)


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


def open_session(
    place: Path | str,
    parameters: Parameters | None = None,
    limits: Limits | None = None,
    engine: EngineChoice | None = None,
) -> Session:
    """Opens a dataset for queries. place: its folder, or its address as in hf://datasets/ORG/NAME.

    Raises: DatasetError where it is none; InputError where a parameter does not fit it, or the
    engine cannot run here; HeadswapError where the network fails.
    """
    if isinstance(place, Path):
        return Session(open_dataset(place), parameters or Parameters(), limits, engine)
    from ingest.dataset.afar.address import how_to_copy
    from ingest.dataset.afar.open import open_afar

    if engine is not None and engine.name == "spark":
        raise InputError(
            f"{place} is in no folder, and the engine spark needs files that every machine of its "
            "cluster sees",
            hint=f"{how_to_copy(place)}; or run it with the engine duckdb",
        )
    return Session(open_afar(place), parameters or Parameters(), limits, engine)
