"""The stored tables as relations: their files, cast once for all that reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ingest.dataset.reader import Dataset
from ingest.dataset.relations import STORED_TABLES, StoredColumn, StoredTable
from sql.graph.literals import literal
from sql.graph.relation import Column, Relation

# The variable of a DuckDB client that says where the dataset lies, in statements that are written
# to be run anywhere.
PLACE_VARIABLE = "headswap_dataset"
ReadParquet = Callable[[StoredTable, Sequence[str]], str]
# Beside `attention`: the same weights as they are stored, with the place of their prompt.
PLACED_ATTENTION = "attention_rows"


def stored_relations() -> Iterator[Relation]:
    """One relation a stored table, and the placed attention."""
    for table in STORED_TABLES.values():
        yield Relation(
            name=table.name,
            kind="stored",
            subject="stored",
            purpose=table.purpose,
            grain=table.grain,
            columns=tuple(
                Column(column.name, column.sql_type, column.meaning) for column in table.columns
            ),
            storage="view",
            made_by=table.made_by,
        )
    attention = STORED_TABLES["attention"]
    # A place is one number for a position of a prompt in a model: that of the prompt's first
    # position and the position. Joins on it are much faster than on model, prompt and position,
    # fastest where the numbers lie close together, as these do, and where they are small.
    place = Column("prompt_place", "bigint", "number of the prompt's first position, see places")
    yield Relation(
        name=PLACED_ATTENTION,
        kind="stored",
        subject="stored",
        purpose="attention as it is stored, with one number for its model and prompt: fast joins",
        grain=attention.grain,
        columns=(place, *(_as_stored(column) for column in attention.columns)),
        storage="view",
        reads=("places",),
        made_by=attention.made_by,
    )


def _as_stored(column: StoredColumn) -> Column:
    """A column in the small types of the files, which scans and joins are fastest on."""
    stored = {"int16": "smallint", "weight": "float"}
    return Column(column.name, stored.get(column.type, column.sql_type), column.meaning)


def stored_table(relation: Relation) -> StoredTable:
    """The stored table whose files a stored relation reads."""
    name = "attention" if relation.name == PLACED_ATTENTION else relation.name
    return STORED_TABLES[name]


def stored_select(
    relation: Relation, dataset: Dataset, places: dict[str, str], read: ReadParquet
) -> str:
    """The SELECT over a stored table's files.

    places: what the first place of each model's prompts is, as an expression over `prompt_id`.
    read: what FROM reads files by, given their table and where they lie.
    """
    table = stored_table(relation)
    if relation.name == PLACED_ATTENTION:
        stored = ", ".join(f'"{column.name}"' for column in table.columns if column.name != "model")
        parts = [
            f"select {place} as prompt_place, {literal(model)} as model, {stored} "
            f"from {read(table, dataset.locations(table.name, model))}"
            for model, place in places.items()
        ]
        return " union all ".join(parts)
    columns = {column.name: f'"{column.name}"::{column.type}' for column in relation.columns}
    if table.split != "model":
        files = read(table, dataset.locations(table.name))
        return f"select {_listed(columns)} from {files}"
    # One SELECT a model, its name written out: a query for one model opens no file of another.
    # Verification checks that the rows of a model's files carry its name.
    owners = dict.fromkeys(entry.owner for entry in dataset.manifest.files_of(table.name))
    return " union all ".join(
        f"select {_listed(columns | {'model': literal(owner)})} "
        f"from {read(table, dataset.locations(table.name, owner))}"
        for owner in owners
    )


def _listed(columns: dict[str, str]) -> str:
    return ", ".join(f'{expression} as "{name}"' for name, expression in columns.items())


def placed(path: str) -> str:
    """A path in the dataset as an expression, wherever the dataset lies.

    >>> placed("models.parquet")
    "getvariable('headswap_dataset') || '/models.parquet'"
    """
    return f"getvariable('{PLACE_VARIABLE}') || {literal(f'/{path}')}"
