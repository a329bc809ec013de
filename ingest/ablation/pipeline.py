"""Ablate: heads one by one or two together, or their effects estimated; the changes become rows."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ingest.ablation.options import (
    ALL_PAIRS,
    ATTRIBUTION,
    EXACT,
    KINDS,
    RESAMPLE,
    ZERO,
    Head,
    Heads,
)
from ingest.appending import (
    Addition,
    MakeFiles,
    adding,
    chosen_models,
    open_to_add,
    stored_rows,
    token_ids_of,
)
from ingest.generation.ablated import check_head
from ingest.kernel.errors import InputError
from ingest.kernel.progress import Progress
from ingest.models.packages import needing_packages
from ingest.models.stored import load_stored
from ingest.producers.attention import versions
from ingest.rerun import Part, Rerun

if TYPE_CHECKING:
    from ingest.ablation.ablator import AblatedBatch, Ablator
    from ingest.ablation.effects import Effects
    from ingest.ablation.readings import Reading
    from ingest.dataset.manifest import ModelEntry
    from ingest.dataset.reader import Dataset
    from ingest.models.loaded import LoadedModel

TABLE, PAIRS, ESTIMATES = TABLES = ("ablation_effects", "pair_effects", "attribution_effects")
# So many pairs are ablated unasked: each takes a run of the model, and hours where there are more.
_MOST_PAIRS = 1000


@dataclass(frozen=True)
class Request:
    """What is to be ablated.

    models: names, none for all. heads: none for all, or where pairs are given for none but theirs.
    pairs: heads that are ablated together as well; None for every two of the heads. Each head of a
    pair is ablated by itself, too: only beside that do pairs mean something. method: of METHODS.
    device: None for the one that a model ran on before. now_at: where models lie now, by name, for
    those that have moved.

    Raises: InputError where pairs are to be estimated.
    """

    models: tuple[str, ...] = ()
    heads: tuple[Head, ...] = ()
    kinds: tuple[str, ...] = (ZERO,)
    pairs: tuple[Heads, ...] | None = ()
    method: str = EXACT
    device: str | None = None
    now_at: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.method == ATTRIBUTION and self.pairs != ():
            raise InputError(
                f"--pairs with --method {ATTRIBUTION} would store nothing new: it estimates of a "
                "pair the sum of its heads",
                hint=f"ablate pairs with --method {EXACT}, the default",
            )


@dataclass(frozen=True)
class Written:
    """What was done. rows: added, by model. were_there: ablations that a model had."""

    rows: dict[str, int]
    were_there: dict[str, int]


@dataclass(frozen=True)
class _Task:
    """Ablations that are computed together: one by one, or for a table of estimates at once.

    ablations: the heads that each ablates, in order; layer: the one in which all of them begin,
    None where they are of all layers.
    """

    table: str
    kind: str
    layer: int | None
    ablations: tuple[Heads, ...]


@needing_packages()
def ablate(dataset_path: Path, request: Request, make: MakeFiles | None = None) -> Written:
    """Adds the rows that a dataset lacks to its tables of ablations.

    make: as of `ingest.appending.adding`.

    Raises: InputError where a model or a head cannot be used; HeadswapError where another process
    writes to the dataset.
    """
    dataset = open_to_add(dataset_path)
    entries = chosen_models(dataset, request.models, request.now_at)
    wanted = {entry.name: list(_wanted(dataset, entry, request)) for entry in entries}
    tasks = {
        name: [lacking for task in found if (lacking := _lacking(dataset, name, task))]
        for name, found in wanted.items()
    }
    were_there = {name: _count(wanted[name]) - _count(tasks[name]) for name in tasks}
    rows = dict.fromkeys(wanted, 0)
    chosen = [entry for entry in entries if tasks[entry.name]]
    if not chosen:
        return Written(rows, were_there)
    writers = [_Writer(dataset, entry, request) for entry in chosen]
    work: dict[str, object] = {
        "models": {w.model.name: [w.model.weights_sha256, w.model.device] for w in writers},
        "tasks": {
            entry.name: [
                [task.table, task.kind, *map(list, task.ablations)] for task in tasks[entry.name]
            ]
            for entry in chosen
        },
        "versions": versions(),
    }
    with adding(dataset, TABLES, work, make) as addition:
        for writer in writers:
            rows[writer.model.name] = writer.write(addition, tasks[writer.model.name])
    return Written(rows, were_there)


def wanted_heads(dataset: Dataset, entry: ModelEntry, heads: Iterable[Head]) -> list[Head]:
    """The given heads of a model, all where none is given, in order.

    Raises: InputError where it lacks one.
    """
    shapes = {row["model"]: row for row in dataset.read_table("models").to_pylist()}
    n_layers, n_heads = (shapes[entry.name][name] for name in ("n_layers", "n_heads"))
    given = sorted(set(heads))
    for layer, head in given:
        check_head(layer, head, entry.name, n_layers, n_heads)
    return given or [(layer, head) for layer in range(n_layers) for head in range(n_heads)]


def _wanted(dataset: Dataset, entry: ModelEntry, request: Request) -> Iterator[_Task]:
    """All that was asked for of a model, whether it is there or not.

    Raises: InputError where a model lacks a head, or all pairs of all heads are too many.
    """
    of_pairs = itertools.chain.from_iterable(request.pairs or ())
    heads = wanted_heads(dataset, entry, [*request.heads, *of_pairs])
    pairs = sorted(
        set(itertools.combinations(heads, 2) if request.pairs is None else request.pairs)
    )
    if request.pairs is None and not request.heads and len(pairs) > _MOST_PAIRS:
        raise InputError(
            f"--pairs {ALL_PAIRS} of the {len(heads)} heads of {entry.name!r} are {len(pairs):,} "
            "pairs, each a run of the model",
            hint="name some heads with --head, for all pairs of them, or pairs with --pairs "
            "L3H0+L3H5",
        )
    singles = [(head,) for head in heads]
    for kind in (kind for kind in KINDS if kind in request.kinds):
        if request.method == ATTRIBUTION:
            yield _Task(ESTIMATES, kind, None, tuple(singles))
            continue
        for table, ablations in ((TABLE, singles), (PAIRS, pairs)):
            for layer, group in itertools.groupby(ablations, lambda found: found[0][0]):
                yield _Task(table, kind, layer, tuple(group))


def _lacking(dataset: Dataset, model: str, task: _Task) -> _Task | None:
    """The part of a task of which the dataset has no rows; None where it has them all."""
    columns = ["kind", *itertools.chain.from_iterable(_head_columns(task))]
    rows = stored_rows(dataset, task.table, model, columns)
    grouped = rows.group_by(columns).aggregate([]).to_pylist()
    there = {tuple(row[name] for name in columns) for row in grouped}
    absent = tuple(
        ablation
        for ablation in task.ablations
        if (task.kind, *itertools.chain.from_iterable(ablation)) not in there
    )
    return replace(task, ablations=absent) if absent else None


def _head_columns(task: _Task) -> list[tuple[str, str]]:
    """The columns of layer and head of each ablated head."""
    if task.table == PAIRS:
        return [("layer_a", "head_a"), ("layer_b", "head_b")]
    return [("layer", "head")]


def _count(tasks: Sequence[_Task]) -> int:
    return sum(len(task.ablations) for task in tasks)


def ablator_of(
    dataset: Dataset, entry: ModelEntry, device: str | None, now_at: Mapping[str, str]
) -> Ablator:
    """A model of a dataset, loaded again, with the stored prompts.

    Raises: InputError where the model is gone, was changed, or predicts no tokens.
    """
    return _ablator(dataset, load_stored(entry, device, now_at.get(entry.name)))


def _ablator(dataset: Dataset, model: LoadedModel) -> Ablator:
    from ingest.ablation.ablator import Ablator

    return Ablator(model, token_ids_of(dataset, model.tokenizer_name))


@dataclass(frozen=True)
class _Exact:
    """The rows of a file: those of a task in a batch of readings, by its number."""

    batch: int
    task: _Task


@dataclass(frozen=True)
class _Estimated:
    """The rows of a file: what is estimated of tasks in some prompts."""

    prompt_ids: tuple[int, ...]
    tasks: tuple[_Task, ...]


class _Writer(Rerun):
    """Ablates heads of one model and writes its files.

    A batch of prompts, a kind and a layer make a file; of estimates a batch of prompts.
    """

    def __init__(self, dataset: Dataset, entry: ModelEntry, request: Request) -> None:
        super().__init__(dataset, entry, request)
        self._ablator = _ablator(dataset, self.model)
        if RESAMPLE in request.kinds:
            self._ablator.check_others()
        self._batches: list[list[Reading]] = self._ablator.batches()
        self._ran: tuple[int, AblatedBatch] | None = None

    def write(self, addition: Addition, tasks: Sequence[_Task]) -> int:
        """Adds the model's files and returns the number of their rows."""
        exact = [task for task in tasks if task.table != ESTIMATES]
        estimated = tuple(task for task in tasks if task.table == ESTIMATES)
        parts = [
            Part(task.table, _Exact(batch, task))
            for batch in range(len(self._batches))
            for task in exact
        ]
        prompt_batches = self._ablator.prompt_batches() if estimated else []
        parts += [
            Part(ESTIMATES, _Estimated(tuple(prompt_ids), estimated))
            for prompt_ids in prompt_batches
        ]
        places = sum(len(reading.positions) for batch in self._batches for reading in batch)
        n_prompts = sum(map(len, prompt_batches))
        n_rows = places * _count(exact) + n_prompts * _count(estimated)
        with Progress(f"{self.model.name:<14}", n_rows, "rows") as progress:
            for _, entry, was_there in addition.files(self, parts):
                (progress.skip if was_there else progress.add)(entry.rows)
        print(progress.summary(), file=sys.stderr)
        return n_rows

    def rows(self, part: Part) -> pa.Table:
        """As `Rerun.rows`."""
        if isinstance(part.which, _Estimated):
            return self._estimated_rows(part.which)
        found: _Exact = part.which
        return self._rows(found.batch, found.task)

    def _rows(self, batch: int, task: _Task) -> pa.Table:
        found = self._run(batch).effects(task.kind, task.ablations)
        readings = self._batches[batch]
        counts = [len(reading.positions) for reading in readings]
        prompts = np.repeat([reading.prompt_id for reading in readings], counts)
        positions = np.concatenate([reading.positions for reading in readings])
        return pa.table(
            {
                **self._place_columns(task, len(positions)),
                "prompt_id": np.tile(prompts.astype(np.int32), len(task.ablations)),
                "position": np.tile(positions, len(task.ablations)),
                "delta_loss_nats": _or_null(found, "delta_loss_nats"),
                "kl_nats": np.concatenate([effects.kl_nats for effects in found]),
                "probability_before": _or_null(found, "probability_before"),
                "probability_after": _or_null(found, "probability_after"),
                "top_token_before": self._tokens(found, "top_token_before"),
                "top_token_after": self._tokens(found, "top_token_after"),
            }
        )

    def _run(self, batch: int) -> AblatedBatch:
        """A batch that ran through the whole model; once where it is asked for in a row."""
        if self._ran is None or self._ran[0] != batch:
            self._ran = None  # or two would be held at once
            self._ran = batch, self._ablator.run(self._batches[batch])
        return self._ran[1]

    def _estimated_rows(self, asked: _Estimated) -> pa.Table:
        found = self._ablator.estimates(asked.prompt_ids, [task.kind for task in asked.tasks])
        parts = []
        for task in asked.tasks:
            n_heads, of_kind = len(task.ablations), found.delta_loss_nats[task.kind]
            values = np.concatenate([of_kind[head] for (head,) in task.ablations])
            columns = {
                **self._place_columns(task, len(asked.prompt_ids)),
                "prompt_id": np.tile(np.array(asked.prompt_ids, dtype=np.int32), n_heads),
                "n_positions": np.tile(found.n_positions, n_heads),
                "estimated_delta_loss_nats": pa.array(
                    values.astype(np.float32), mask=np.isnan(values)
                ),
            }
            parts.append(pa.table(columns))
        return pa.concat_tables(parts)

    def _place_columns(self, task: _Task, n_places: int) -> dict[str, Any]:
        """Which model, kind and heads each row is of, with so many rows an ablation."""
        n_rows = n_places * len(task.ablations)
        heads = np.repeat(np.array(task.ablations, dtype=np.int16), n_places, axis=0)
        columns = {
            "model": pa.repeat(self.model.name, n_rows),
            "kind": pa.repeat(task.kind, n_rows),
        }
        for number, (layer, head) in enumerate(_head_columns(task)):
            columns |= {layer: pa.array(heads[:, number, 0]), head: pa.array(heads[:, number, 1])}
        return columns

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
