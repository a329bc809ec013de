"""Relations made of what was asked and of the manifest: small tables, their rows made here."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from ingest.dataset.reader import Dataset
from sql.graph.literals import literal
from sql.graph.relation import Column, Relation
from sql.parameters import Parameters

if TYPE_CHECKING:
    import duckdb

Rows = Sequence[Sequence[object]]


@dataclass(frozen=True)
class Asked:
    """A dataset and what is asked of it. connection: that of its session, to read files by."""

    dataset: Dataset
    parameters: Parameters
    connection: duckdb.DuckDBPyConnection

    @cached_property
    def extent(self) -> Extent:
        """How far the dataset's numbers go, from the statistics of its small files."""
        return extent_of(self.dataset, self.connection)

    @property
    def models(self) -> list[str]:
        return [model.name for model in self.dataset.manifest.models]

    @property
    def place_type(self) -> str:
        """32 bits where all places fit into them: joins on them are faster."""
        is_small = len(self.models) * self.extent.prompts * self.extent.positions < 2**31
        return "integer" if is_small else "bigint"

    def prompt_places(self) -> dict[str, str]:
        """The first place of each model's prompts, as an expression over `prompt_id`."""
        kind, positions = self.place_type, self.extent.positions
        return {
            model: f"{number * self.extent.prompts * positions}::{kind} "
            f"+ prompt_id * {positions}::{kind}"
            for number, model in enumerate(self.models)
        }


@dataclass(frozen=True)
class Extent:
    """The largest prompt_id, position, number of layers and number of heads; the first two + 1."""

    prompts: int
    positions: int
    layers: int
    heads: int


def extent_of(dataset: Dataset, connection: duckdb.DuckDBPyConnection) -> Extent:
    """Reads how far a dataset's numbers go."""
    selects = [
        f"(select coalesce(max({column}), {nothing}) from read_parquet([{files}]))"
        for table, column, nothing in (
            ("prompts", "prompt_id", -1),
            ("tokens", "position", -1),
            ("models", "n_layers", 0),
            ("models", "n_heads", 0),
        )
        for files in [", ".join(map(literal, dataset.locations(table)))]
    ]
    (found,) = connection.execute(f"select {', '.join(selects)}").fetchall()
    prompts, positions, layers, heads = map(int, found)
    return Extent(prompts + 1, positions + 1, layers, heads)


def compared_pairs(dataset: Dataset, parameters: Parameters) -> list[tuple[str, str]]:
    """The pairs of models that are compared, each in both orders."""
    names = [model.name for model in dataset.manifest.models]
    chosen = parameters.pairs or tuple(itertools.combinations(names, 2))
    return [order for pair in chosen for order in (pair, pair[::-1])]


def _parameters(asked: Asked) -> Rows:
    return [[getattr(asked.parameters, column.name) for column in PARAMETERS.columns]]


def _claims(asked: Asked) -> Rows:
    return [list(vars(claim).values()) for claim in dict.fromkeys(asked.parameters.claims)]


def _groups(asked: Asked) -> Rows:
    return [[model, name] for name, models in asked.parameters.groups for model in models]


def _pairs(asked: Asked) -> Rows:
    return compared_pairs(asked.dataset, asked.parameters)


def _places(asked: Asked) -> Rows:
    extent = asked.extent
    a_model = extent.prompts * extent.positions
    return [
        [model, number, number * a_model, extent.positions]
        for number, model in enumerate(asked.models)
    ]


def _layers(asked: Asked) -> Rows:
    files = [str(path) for path in asked.dataset.table_files("models")]
    sizes: dict[str, int] = dict(
        asked.connection.execute(
            "select model, n_layers from read_parquet($files)", {"files": files}
        ).fetchall()
    )
    models = asked.dataset.manifest.models
    return [[m.name, layer] for m in models for layer in m.stored_layers(sizes[m.name])]


def _numbers(asked: Asked) -> Rows:
    extent = asked.extent
    return [[number] for number in range(max(asked.parameters.bins, extent.layers, extent.heads))]


def _table(name: str, purpose: str, grain: tuple[str, ...], *columns: tuple[str, ...]) -> Relation:
    return Relation(
        name=name,
        kind="parameters",
        subject="parameters",
        purpose=purpose,
        grain=grain,
        columns=tuple(Column(*column) for column in columns),
        storage="table",
    )


PARAMETERS = _table(
    "parameters",
    "what the relations are asked with: one row",
    ("bins",),
    ("bins", "integer", "bins of a profile along the prompt"),
    ("variant", "varchar", "the variant of prompts that is analysed, or all"),
    ("reference_model", "varchar", "the model whose head is looked for in the others"),
    ("reference_layer", "integer", "0-based, null where the data choose the reference head"),
    ("reference_head", "integer", "0-based, null where the data choose the reference head"),
    ("similarity", "varchar", "the similarity that matches and intervals are about"),
    ("claim_similarity", "varchar", "the same for claims; those beyond chance rest on verdicts"),
    ("significance_level", "double", "p values at most this high count as beyond chance"),
    ("n_splits", "integer", "splits of the prompts into halves"),
    ("n_draws", "integer", "draws of chance"),
    ("seed", "integer", "seed of all that is drawn at random"),
)
_HEAD_PAIR = (
    ("model_a", "varchar", "the model whose head is claimed to have a counterpart"),
    ("layer_a", "integer", "0-based"),
    ("head_a", "integer", "0-based"),
    ("model_b", "varchar", "the model that holds the counterpart"),
    ("layer_b", "integer", "0-based"),
    ("head_b", "integer", "0-based"),
)
PARAMETER_TABLES: dict[str, tuple[Relation, Callable[[Asked], Rows]]] = {
    relation.name: (relation, rows)
    for relation, rows in (
        (PARAMETERS, _parameters),
        (
            _table(
                "claim_rows",
                "the claims as they were stated",
                ("claim",),
                ("claim", "varchar", "as it was stated"),
                *_HEAD_PAIR,
                ("test", "varchar", "above same index, best match, beyond chance or at least"),
                ("bound", "double", "of at least: the number that the claim states"),
            ),
            _claims,
        ),
        (
            _table(
                "model_groups",
                "which models belong together, as it was stated",
                ("model",),
                ("model", "varchar", "name of the model"),
                ("group_name", "varchar", "what its group is called"),
            ),
            _groups,
        ),
        (
            _table(
                "pairs",
                "the pairs of models that are compared, each in both orders",
                ("model_a", "model_b"),
                ("model_a", "varchar", "the model whose heads are looked for"),
                ("model_b", "varchar", "the model that is searched"),
            ),
            _pairs,
        ),
        (
            _table(
                "places",
                "how the positions of a model's prompts are numbered, for fast joins",
                ("model",),
                ("model", "varchar", "name of the model"),
                ("model_number", "integer", "0-based, in the order of the manifest"),
                ("first_place", "bigint", "number of the model's first position"),
                ("n_positions", "bigint", "numbers that a prompt takes"),
            ),
            _places,
        ),
        (
            _table(
                "layers",
                "the layers of each model whose rows are stored: all, unless it is an extract",
                ("model", "layer"),
                ("model", "varchar", "name of the model"),
                ("layer", "integer", "0-based"),
            ),
            _layers,
        ),
        (
            _table(
                "numbers",
                "whole numbers from 0 on, as many as bins, layers or heads need",
                ("number",),
                ("number", "integer", "0-based"),
            ),
            _numbers,
        ),
    )
}


def as_asked(relation: Relation, asked: Asked) -> Relation:
    """A relation of places, which have the type that suits the dataset."""
    columns = tuple(
        replace(column, type=asked.place_type) if column.type == "bigint" else column
        for column in relation.columns
    )
    return replace(relation, columns=columns)


def parameter_relations() -> Iterator[Relation]:
    """All parameter tables."""
    return (relation for relation, _ in PARAMETER_TABLES.values())


def parameter_rows(name: str, asked: Asked) -> Rows:
    """The rows of a parameter table."""
    return PARAMETER_TABLES[name][1](asked)
