"""Shards of a small study: datasets of some of its models on some of its tasks, and toy tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ingest.dataset.commit import commit
from ingest.dataset.manifest import read_manifest
from ingest.dataset.reader import open_dataset
from ingest.dataset.relations import STORED_TABLES, StoredColumn, StoredTable
from ingest.dataset.verification import verify
from ingest.dataset.writer import write_table
from tests.support.synthetic import PROMPTS, SyntheticModel, write_synthetic_dataset

A, B, C, D = (SyntheticModel(name, seed=seed) for seed, name in enumerate("abcd"))
TASKS = (
    *PROMPTS,
    ("Call home", ("Find the number", "Dial")),
    ("Cook rice", ("Wash it", "Boil it", "Wait")),
    ("Post a letter", ("Write it", "Fold it", "Buy a stamp", "Walk to the box")),
    ("Read", ("Sit down", "Open the book")),
    ("Mend a shirt", ("Thread the needle", "Sew")),
)

EFFECTS = StoredTable(
    name="toy_effects",
    purpose="a toy: an effect of each head on each prompt",
    grain=("model", "layer", "head", "prompt_id"),
    columns=(
        StoredColumn("model", "string", "name of the model", refers_to="models.model"),
        StoredColumn("layer", "int16", "0-based"),
        StoredColumn("head", "int16", "0-based"),
        StoredColumn("prompt_id", "int32", "joins prompts", refers_to="prompts.prompt_id"),
        StoredColumn("effect", "float32", "in nats"),
    ),
    split="model",
    made_by="toy",
    is_optional=True,
)
NORMS = StoredTable(
    name="toy_norms",
    purpose="a toy: a number of each head, whatever the prompts",
    grain=("model", "layer", "head"),
    columns=(*EFFECTS.columns[:3], StoredColumn("norm", "float32", "of its weights", True)),
    split="model",
    made_by="toy",
    is_optional=True,
)


def write_shard(
    path: Path,
    models: Sequence[SyntheticModel],
    tasks: Sequence[tuple[str, Sequence[str]]] = TASKS,
) -> Path:
    """A dataset of some of the tasks, each of which has the same pair_id in all of them."""
    numbers = [str(TASKS.index(task)) for task in tasks]
    return write_synthetic_dataset(path, models, tasks, pair_ids=numbers)


def problems(dataset: Path) -> list[str]:
    return [f"{p.path}: {p.what}" for check in verify(dataset) for p in check.problems]


def assert_equal_rows(one: Path, other: Path, tolerance: float = 0.0) -> None:
    """Every table of two datasets, row for row by its grain; float columns within a tolerance."""
    first, second = open_dataset(one), open_dataset(other)
    assert first.manifest.tables.keys() == second.manifest.tables.keys()
    assert [m.name for m in first.manifest.models] == [m.name for m in second.manifest.models]
    for name in first.manifest.tables:
        keys = [(column, "ascending") for column in STORED_TABLES[name].grain]
        rows, others = (d.read_table(name).sort_by(keys) for d in (first, second))
        assert len(rows) > 0
        for column in rows.schema if tolerance else ():
            if pa.types.is_floating(column.type):
                mine, theirs = (table[column.name] for table in (rows, others))
                assert mine.is_null().equals(theirs.is_null()), column.name
                values, other_values = (found.drop_null().to_numpy() for found in (mine, theirs))
                assert np.allclose(values, other_values, rtol=0, atol=tolerance), column.name
                rows, others = (t.drop_columns(column.name) for t in (rows, others))
        assert rows.equals(others), name


def with_rows(dataset: Path, table: StoredTable, **changes: float) -> Path:
    """Gives each model rows of a toy table, which depend on the prompt's content."""
    rows = open_dataset(dataset).read_table("prompts").to_pylist()
    lengths = {row["prompt_id"]: len(row["text"]) for row in rows}
    entries = []
    for model in read_manifest(dataset).models:
        places = [
            {"model": model.name, "layer": layer, "head": head}
            for layer in range(2)
            for head in range(3)
        ]
        made: list[dict[str, Any]] = [place | {"norm": None} | changes for place in places]
        if table.name == EFFECTS.name:
            made = [
                place | {"prompt_id": prompt, "effect": length}
                for place in places
                for prompt, length in lengths.items()
            ]
        path = table.path(0, model.name)
        entries.append(write_table(dataset, path, table.name, made, model.name))
    commit(dataset, read_manifest(dataset).with_files({table.name: entries}))
    return dataset
