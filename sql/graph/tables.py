"""The tables that the views read, as statements: the dataset's files, and what is asked of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.dataset.reader import Dataset
from sql.parameters import Parameters

if TYPE_CHECKING:
    import duckdb

_PARAMETERS = {
    "bins": "integer",
    "variant": "varchar",
    "reference_model": "varchar",
    "reference_layer": "integer",
    "reference_head": "integer",
    "similarity": "varchar",
    "is_calibrated": "boolean",
    "significance_level": "double",
}
_CLAIM = {
    "claim": "varchar",
    "model_a": "varchar",
    "layer_a": "integer",
    "head_a": "integer",
    "model_b": "varchar",
    "layer_b": "integer",
    "head_b": "integer",
    "test": "varchar",
    "bound": "double",
}


def compared_pairs(dataset: Dataset, parameters: Parameters) -> list[tuple[str, str]]:
    """The pairs of models that are compared, each in both orders."""
    names = [model.name for model in dataset.manifest.models]
    chosen = parameters.pairs or tuple(itertools.combinations(names, 2))
    return [order for pair in chosen for order in (pair, pair[::-1])]


@dataclass(frozen=True)
class Extent:
    """How far a dataset's numbers go: the largest prompt_id and the largest position, each + 1."""

    prompts: int
    positions: int


def extent_of(dataset: Dataset, connection: duckdb.DuckDBPyConnection) -> Extent:
    """Reads it from the dataset's small tables."""
    largest = {}
    for table, column in (("prompts", "prompt_id"), ("tokens", "position")):
        source = _read_parquet(dataset.table_files(table), None)
        found = connection.execute(f"select coalesce(max({column}), 0) from {source}").fetchone()
        assert found is not None
        largest[table] = int(found[0])
    return Extent(largest["prompts"] + 1, largest["tokens"] + 1)


def tables(
    dataset: Dataset, parameters: Parameters, extent: Extent, start: Path | None = None
) -> Iterator[str]:
    """The statements that make all tables beside the views.

    extent: as `extent_of` reads it. start: the folder from which paths are told, None for absolute
    ones.
    """
    yield from _table(
        "parameters", _PARAMETERS, [[getattr(parameters, name) for name in _PARAMETERS]]
    )
    claims = [list(vars(claim).values()) for claim in dict.fromkeys(parameters.claims)]
    yield from _table("claim_rows", _CLAIM, claims)
    pairs = {"model_a": "varchar", "model_b": "varchar"}
    yield from _table("pairs", pairs, compared_pairs(dataset, parameters))
    yield "create table bins as select unnest(range(bins))::integer as bin from parameters"
    for table in dataset.manifest.tables:
        source = _read_parquet(dataset.table_files(table), start)
        yield f'create view "{table.removesuffix("s")}_rows" as select * from {source}'
    yield from _attention_rows(dataset, extent, start)
    yield (
        "create table heads as select model, layer.layer::integer as layer, "
        "head.head::integer as head, "
        "(row_number() over (order by model, layer.layer, head.head) - 1)::integer as head_id "
        "from model_rows, range(n_layers) as layer(layer), range(n_heads) as head(head)"
    )


def _attention_rows(dataset: Dataset, extent: Extent, start: Path | None) -> Iterator[str]:
    """The stored weights, each with the place of its prompt.

    A place is one number for a position of a prompt in a model: that of the prompt's first position
    and the position. Joins on it are much faster than on model, prompt and position, fastest where
    the numbers lie close together, as these do, and where they are small.
    """
    files = dataset.attention_files()
    a_model = extent.prompts * extent.positions
    kind = "integer" if len(files) * a_model < 2**31 else "bigint"
    columns = {"model": "varchar", "model_number": "integer"}
    columns |= {"first_place": kind, "n_positions": kind}
    rows = [[name, n, n * a_model, extent.positions] for n, name in enumerate(files)]
    yield from _table("places", columns, rows)
    models = []
    for number, (model, paths) in enumerate(files.items()):
        place = f"{number * a_model}::{kind} + prompt_id * {extent.positions}::{kind}"
        source = _read_parquet(paths, start)
        models.append(f"select {literal(model)} as model, {place} as prompt_place, * from {source}")
    yield f"create view attention_rows as {' union all '.join(models)}"


def literal(value: object) -> str:
    """A value as SQL writes it.

    >>> literal("it's"), literal(None), literal(0.5)
    ("'it''s'", 'null', '0.5')
    """
    if value is None:
        return "null"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def _table(name: str, columns: dict[str, str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """A table with its rows; `columns` are its names with their types."""
    listed = ", ".join(f"{column} {kind}" for column, kind in columns.items())
    yield f"create table {name} ({listed})"
    if rows:
        values = ", ".join(f"({', '.join(map(literal, row))})" for row in rows)
        yield f"insert into {name} values {values}"


def _read_parquet(files: list[Path], start: Path | None) -> str:
    paths = [path.relative_to(start) if start else path for path in files]
    listed = ", ".join(literal(str(path)) for path in paths)
    return f"read_parquet([{listed}], hive_partitioning = false)"
