"""Ablate: every head of a model by itself, and what that changes becomes rows."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ingest.ablation.options import KINDS, ZERO, Head
from ingest.appending import (
    Addition,
    adding,
    chosen_models,
    open_to_add,
    stored_rows,
    token_ids_of,
)
from ingest.generation.ablated import check_head
from ingest.kernel.progress import Progress
from ingest.models.packages import needing_packages
from ingest.models.stored import load_stored
from ingest.producers.attention import versions

if TYPE_CHECKING:
    from ingest.ablation.ablator import AblatedBatch, Ablator
    from ingest.ablation.effects import Effects
    from ingest.ablation.readings import Reading
    from ingest.dataset.manifest import ModelEntry
    from ingest.dataset.reader import Dataset
    from ingest.models.loaded import LoadedModel

TABLE = "ablation_effects"


@dataclass(frozen=True)
class Request:
    """What is to be ablated.

    models: names, none for all. heads: none for all. device: None for the one that a model ran on
    before. now_at: where models lie now, by name, for those that have moved.
    """

    models: tuple[str, ...] = ()
    heads: tuple[Head, ...] = ()
    kinds: tuple[str, ...] = (ZERO,)
    device: str | None = None
    now_at: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Written:
    """What was done. rows: added, by model. were_there: heads and kinds that a model had."""

    rows: dict[str, int]
    were_there: dict[str, int]


@dataclass(frozen=True)
class _Task:
    """Heads of a layer that are ablated one by one, and how."""

    kind: str
    layer: int
    heads: tuple[int, ...]


@needing_packages()
def ablate(dataset_path: Path, request: Request) -> Written:
    """Adds the rows that a dataset lacks to its table `ablation_effects`.

    Raises: InputError where a model or a head cannot be used; HeadswapError where another process
    writes to the dataset.
    """
    dataset = open_to_add(dataset_path)
    entries = chosen_models(dataset, request.models, request.now_at)
    wanted = {entry.name: wanted_heads(dataset, entry, request.heads) for entry in entries}
    tasks = {
        entry.name: _missing(dataset, entry.name, wanted[entry.name], request.kinds)
        for entry in entries
    }
    were_there = {
        name: len(wanted[name]) * len(request.kinds) - sum(len(task.heads) for task in found)
        for name, found in tasks.items()
    }
    rows = dict.fromkeys(wanted, 0)
    chosen = [entry for entry in entries if tasks[entry.name]]
    if not chosen:
        return Written(rows, were_there)
    writers = [
        _Writer(ablator_of(dataset, entry, request.device, request.now_at), tasks[entry.name])
        for entry in chosen
    ]
    work: dict[str, object] = {
        "models": {w.model.name: [w.model.weights_sha256, w.model.device] for w in writers},
        "tasks": {
            entry.name: [[task.kind, task.layer, *task.heads] for task in tasks[entry.name]]
            for entry in chosen
        },
        "versions": versions(),
    }
    with adding(dataset, [TABLE], work) as addition:
        for writer in writers:
            rows[writer.model.name] = writer.write(addition)
    return Written(rows, were_there)


def wanted_heads(dataset: Dataset, entry: ModelEntry, heads: Sequence[Head]) -> list[Head]:
    """The given heads of a model, all where none is given, in order.

    Raises: InputError where it lacks one.
    """
    shapes = {row["model"]: row for row in dataset.read_table("models").to_pylist()}
    n_layers, n_heads = (shapes[entry.name][name] for name in ("n_layers", "n_heads"))
    for layer, head in heads:
        check_head(layer, head, entry.name, n_layers, n_heads)
    every = [(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    return sorted(set(heads)) if heads else every


def ablator_of(
    dataset: Dataset, entry: ModelEntry, device: str | None, now_at: Mapping[str, str]
) -> Ablator:
    """A model of a dataset, loaded again, with the stored prompts.

    Raises: InputError where the model is gone, was changed, or predicts no tokens.
    """
    model = load_stored(entry, device, now_at.get(entry.name))
    from ingest.ablation.ablator import Ablator

    return Ablator(model, token_ids_of(dataset, entry.tokenizer))


def _missing(
    dataset: Dataset, model: str, heads: Sequence[Head], kinds: Sequence[str]
) -> list[_Task]:
    rows = stored_rows(dataset, TABLE, model, ("kind", "layer", "head"))
    grouped = rows.group_by(["kind", "layer", "head"]).aggregate([]).to_pylist()
    there = {(row["kind"], row["layer"], row["head"]) for row in grouped}
    tasks = []
    for kind in (kind for kind in KINDS if kind in kinds):
        for layer in sorted({layer for layer, _ in heads}):
            of_layer = (head for other, head in heads if other == layer)
            absent = tuple(head for head in of_layer if (kind, layer, head) not in there)
            if absent:
                tasks.append(_Task(kind, layer, absent))
    return tasks


class _Writer:
    """Ablates heads of one model and writes its files: one a batch of prompts, kind and layer."""

    def __init__(self, ablator: Ablator, tasks: Sequence[_Task]) -> None:
        self.model: LoadedModel = ablator.model
        self._ablator, self._tasks = ablator, tasks

    def write(self, addition: Addition) -> int:
        """Adds the model's files and returns the number of their rows."""
        batches = self._ablator.batches()
        places = sum(len(reading.positions) for batch in batches for reading in batch)
        n_heads = sum(len(task.heads) for task in self._tasks)
        n_rows = 0
        with Progress(f"{self.model.name:<14}", places * n_heads, "rows") as progress:
            for batch in batches:
                run = _Once(self._ablator, batch)
                for task in self._tasks:
                    make = partial(self._rows, run, task)
                    entry, was_there = addition.file(TABLE, self.model.name, make)
                    (progress.skip if was_there else progress.add)(entry.rows)
                    n_rows += entry.rows
        print(progress.summary(), file=sys.stderr)
        return n_rows

    def _rows(self, run: _Once, task: _Task) -> pa.Table:
        found = run().effects(task.kind, task.layer, task.heads)
        n_heads, readings = len(task.heads), run.readings
        counts = [len(reading.positions) for reading in readings]
        prompts = np.repeat([reading.prompt_id for reading in readings], counts)
        positions = np.concatenate([reading.positions for reading in readings])
        n_rows = n_heads * len(positions)
        return pa.table(
            {
                "model": pa.repeat(self.model.name, n_rows),
                "kind": pa.repeat(task.kind, n_rows),
                "layer": pa.repeat(pa.scalar(task.layer, pa.int16()), n_rows),
                "head": np.repeat(np.array(task.heads, dtype=np.int16), len(positions)),
                "prompt_id": np.tile(prompts.astype(np.int32), n_heads),
                "position": np.tile(positions, n_heads),
                "delta_loss_nats": _or_null(found, "delta_loss_nats"),
                "kl_nats": np.concatenate([effects.kl_nats for effects in found]),
                "probability_before": _or_null(found, "probability_before"),
                "probability_after": _or_null(found, "probability_after"),
                "top_token_before": self._tokens(found, "top_token_before"),
                "top_token_after": self._tokens(found, "top_token_after"),
            }
        )

    def _tokens(self, found: Sequence[Effects], column: str) -> pa.Array:
        """Each token decoded on its own, as in the table `tokens`."""
        ids = np.concatenate([getattr(effects, column) for effects in found])
        known, index = np.unique(ids, return_inverse=True)
        texts = [
            self.model.tokenizer.decode([token_id], skip_special_tokens=False)
            for token_id in known.tolist()
        ]
        return pa.DictionaryArray.from_arrays(index.astype(np.int32), pa.array(texts)).cast(
            pa.string()
        )


def _or_null(found: Sequence[Effects], column: str) -> pa.Array:
    values = np.concatenate([getattr(effects, column) for effects in found])
    return pa.array(values, mask=np.isnan(values))


class _Once:
    """Runs a batch through the whole model when first called, and gives the same afterwards."""

    def __init__(self, ablator: Ablator, readings: list[Reading]) -> None:
        self.readings = readings
        self._ablator = ablator
        self._run: AblatedBatch | None = None

    def __call__(self) -> AblatedBatch:
        if self._run is None:
            self._run = self._ablator.run(self.readings)
        return self._run
