"""The tables that the views read, as statements: the dataset's files, and what is asked of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from ingest.dataset.reader import Dataset
from sql.parameters import Parameters

_PARAMETERS = {
    "bins": "integer",
    "variant": "varchar",
    "reference_model": "varchar",
    "reference_layer": "integer",
    "reference_head": "integer",
    "similarity": "varchar",
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


def tables(dataset: Dataset, parameters: Parameters, start: Path | None = None) -> Iterator[str]:
    """The statements that make all tables beside the views.

    start: the folder from which paths are told, None for absolute ones.
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
    yield from _attention_rows(dataset.attention_files(), start)
    yield (
        "create table heads as select model, layer.layer::integer as layer, "
        "head.head::integer as head, "
        "(row_number() over (order by model, layer.layer, head.head) - 1)::integer as head_id "
        "from model_rows, range(n_layers) as layer(layer), range(n_heads) as head(head)"
    )


def _attention_rows(files: dict[str, list[Path]], start: Path | None) -> Iterator[str]:
    """The stored weights, each with its query's and its key's place.

    A place is one number for a position of a prompt in a model. Joins on it are much faster than
    on model, prompt and position, and fastest where the numbers lie close together, as these do.
    """
    places = {"model": "varchar", "model_number": "integer"}
    yield from _table("places", places, [[model, number] for number, model in enumerate(files)])
    yield "set variable n_prompts = (select coalesce(max(prompt_id), 0) + 1 from prompt_rows)"
    yield "set variable n_positions = (select coalesce(max(position), 0) + 1 from token_rows)"
    yield "alter table places add column first_place bigint"
    yield "alter table places add column n_positions bigint"
    yield (
        "update places set n_positions = getvariable('n_positions'), "
        "first_place = model_number * getvariable('n_prompts') * getvariable('n_positions')"
    )
    models = []
    for number, (model, paths) in enumerate(files.items()):
        prompt = f"({number} * getvariable('n_prompts') + prompt_id) * getvariable('n_positions')"
        models.append(
            f"select {literal(model)} as model, {prompt} + query as query_place, "
            f"{prompt} + key as key_place, * from {_read_parquet(paths, start)}"
        )
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
