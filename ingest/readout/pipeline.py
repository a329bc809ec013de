"""Read-out: what models predict after each layer and what their heads write becomes rows."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.appending import (
    Addition,
    MakeFiles,
    adding,
    chosen_models,
    open_to_add,
    stored_rows,
)
from ingest.dataset.manifest import ModelEntry
from ingest.dataset.reader import Dataset
from ingest.dataset.relations import STORED_TABLES
from ingest.dataset.schemas import schema_of
from ingest.kernel.errors import InputError
from ingest.kernel.progress import Progress
from ingest.models.packages import needing_packages
from ingest.producers.attention import versions
from ingest.producers.batches import plan_batches
from ingest.prompts.classes import PhraseClass
from ingest.rerun import Part, Rerun

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from ingest.models.loaded import LoadedModel
    from ingest.readout.capture import BatchReadout, PromptTokens

TABLES = ("layer_readouts", "head_writes", "token_classes")
# Numbers of a batch that are held until its end: of each layer three times the residual stream.
_NUMBERS_A_BATCH = 1 << 26
_MAX_TOKENS_A_BATCH = 4096


@dataclass(frozen=True)
class Request:
    """What is to be read out.

    models: names, none for all. at_all_positions: not only where steps begin. device: None for the
    one that a model ran on before. now_at: where models lie now, by name, that were moved.
    """

    classes: tuple[PhraseClass, ...] = ()
    models: tuple[str, ...] = ()
    at_all_positions: bool = False
    device: str | None = None
    now_at: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Written:
    """The rows that were added, by table and model."""

    rows: dict[str, dict[str, int]]


@dataclass(frozen=True)
class _Missing:
    """What a model lacks: positions of each class by prompt, and prompts whose heads to measure."""

    positions: dict[str, dict[int, NDArray[np.int32]]]
    measured: frozenset[int]

    @property
    def prompts(self) -> set[int]:
        return {prompt for places in self.positions.values() for prompt in places} | self.measured


@needing_packages()
def read_out(dataset_path: Path, request: Request, make: MakeFiles | None = None) -> Written:
    """Adds the rows that a dataset lacks to layer_readouts and head_writes.

    make: as of `ingest.appending.adding`.

    Raises: InputError where a model or a class cannot be used, or no prompt has steps and not all
    positions are asked for; HeadswapError where another process writes to the dataset.
    """
    dataset = open_to_add(dataset_path)
    entries = chosen_models(dataset, request.models, request.now_at)
    _check_classes(dataset, request.classes)
    tokens = _Tokens(dataset)
    missing = {entry.name: _missing(dataset, entry, tokens, request) for entry in entries}
    chosen = [entry for entry in entries if missing[entry.name].prompts]
    rows: dict[str, dict[str, int]] = {
        table: {entry.name: 0 for entry in entries} for table in TABLES[:2]
    }
    if not chosen:
        return Written(rows)
    readers = [_Readers(dataset, entry, request) for entry in chosen]
    models = [reader.model for reader in readers]
    classes = _TokenClasses(dataset, models, request)
    work: dict[str, object] = {
        "models": {model.name: [model.weights_sha256, model.device] for model in models},
        "classes": classes.ids,
        "at_all_positions": request.at_all_positions,
        "versions": versions(),
    }
    with adding(dataset, TABLES, work, make) as addition:
        classes.write(addition)
        for reader in readers:
            for table, count in reader.write(addition).items():
                rows[table][reader.model.name] = count
    return Written(rows)


class _Tokens:
    """The stored tokens of every tokenizer's prompts."""

    def __init__(self, dataset: Dataset) -> None:
        self._table = dataset.read_table("tokens").sort_by(
            [("tokenizer", "ascending"), ("prompt_id", "ascending"), ("position", "ascending")]
        )

    def by_prompt(self, tokenizer: str) -> dict[int, pa.Table]:
        """The rows of each prompt, positions ascending."""
        mine = self._table.filter(pc.equal(self._table["tokenizer"], tokenizer))
        ids = mine["prompt_id"].to_numpy()
        known, starts = np.unique(ids, return_index=True)
        ends = [*starts[1:], len(ids)]
        return {
            int(prompt): mine.slice(start, end - start)
            for prompt, start, end in zip(known, starts, ends, strict=True)
        }


def _onsets(tokens: pa.Table) -> NDArray[np.int32]:
    """The positions from which the first token of a step is predicted."""
    steps = [-1 if step is None else step for step in tokens["step_index"].to_pylist()]
    here, following = np.array(steps[:-1]), np.array(steps[1:])
    return np.flatnonzero((following >= 0) & (following != here)).astype(np.int32)


def _missing(dataset: Dataset, entry: ModelEntry, tokens: _Tokens, request: Request) -> _Missing:
    by_prompt = tokens.by_prompt(entry.tokenizer)
    wanted = {
        prompt: np.arange(len(rows), dtype=np.int32) if request.at_all_positions else _onsets(rows)
        for prompt, rows in by_prompt.items()
    }
    if request.classes and not any(len(positions) for positions in wanted.values()):
        raise InputError(
            f"no prompt of {dataset.path} has steps, at whose onsets a class is read out",
            hint="add --all-positions",
        )
    columns = ("token_class", "layer", "prompt_id", "position")
    stored = stored_rows(dataset, "layer_readouts", entry.name, columns)
    stored = stored.filter(pc.equal(stored["layer"], 0))
    there = set(
        zip(
            *(stored[name].to_pylist() for name in ("token_class", "prompt_id", "position")),
            strict=True,
        )
    )
    positions: dict[str, dict[int, NDArray[np.int32]]] = {}
    for name in (found.name for found in request.classes):
        positions[name] = {}
        for prompt, places in wanted.items():
            absent = [place for place in places.tolist() if (name, prompt, place) not in there]
            if absent:
                positions[name][prompt] = np.array(absent, dtype=np.int32)
    measured = stored_rows(dataset, "head_writes", entry.name, ("prompt_id",))["prompt_id"]
    return _Missing(positions, frozenset(by_prompt) - set(pc.unique(measured).to_pylist()))


def _check_classes(dataset: Dataset, classes: Sequence[PhraseClass]) -> None:
    """Raises: InputError where the dataset holds a class of the same name with other phrases."""
    held: dict[tuple[str, str], set[str]] = {}
    for row in dataset.read_table("token_classes").to_pylist():
        held.setdefault((row["tokenizer"], row["token_class"]), set()).update(row["phrases"])
    for found in classes:
        for (_, name), phrases in held.items():
            if name == found.name and phrases != set(found.phrases):
                raise InputError(
                    f"{dataset.path} holds a class {name!r} of other phrases: "
                    f"{'; '.join(sorted(phrases))}",
                    hint="give the class another name, or the phrases that it had",
                )


class _TokenClasses:
    """The tokens of each class, as each tokenizer cuts its phrases.

    ids: by tokenizer and class.
    """

    def __init__(self, dataset: Dataset, models: Sequence[LoadedModel], request: Request) -> None:
        """Raises: InputError where a phrase has no first token."""
        self.ids: dict[str, dict[str, list[int]]] = {}
        self._rows: dict[str, list[dict[str, object]]] = {}
        stored = dataset.read_table("token_classes").to_pylist()
        held = {(row["tokenizer"], row["token_class"]) for row in stored}
        for name, tokenizer in {m.tokenizer_name: m.tokenizer for m in models}.items():
            classes = request.classes
            self.ids[name] = {found.name: list(found.first_tokens(tokenizer)) for found in classes}
            rows = [
                row
                for found in classes
                if (name, found.name) not in held
                for row in _class_rows(name, tokenizer, found)
            ]
            if rows:
                self._rows[name] = rows

    def write(self, addition: Addition) -> None:
        """Adds the classes that the dataset lacks, a file a tokenizer."""
        schema = schema_of(STORED_TABLES["token_classes"])
        for tokenizer, rows in self._rows.items():
            table = pa.Table.from_pylist(rows, schema=schema)
            addition.file("token_classes", tokenizer, table)


def _class_rows(name: str, tokenizer: Tokenizer, found: PhraseClass) -> list[dict[str, object]]:
    first = {phrase: found.first_token(tokenizer, phrase) for phrase in found.phrases}
    return [
        {
            "tokenizer": name,
            "token_class": found.name,
            "token_id": token_id,
            "token": tokenizer.decode([token_id], skip_special_tokens=False),
            "phrases": [phrase for phrase in found.phrases if first[phrase] == token_id],
        }
        for token_id in sorted(set(first.values()))
    ]


class _Readers(Rerun):
    """Reads one model out and writes its files, one a batch of prompts and table."""

    def __init__(self, dataset: Dataset, entry: ModelEntry, request: Request) -> None:
        super().__init__(dataset, entry, request)
        from ingest.readout.capture import PromptTokens, Reader

        tokens = _Tokens(dataset)
        missing = self._missing = _missing(dataset, entry, tokens, request)
        ids = _TokenClasses(dataset, [self.model], request).ids[self.model.tokenizer_name]
        self._reader = Reader(self.model, ids)
        self._classes = list(ids)
        self._was_read: tuple[tuple[int, ...], BatchReadout] | None = None
        by_prompt = tokens.by_prompt(self.model.tokenizer_name)
        self._prompts: list[PromptTokens] = []
        for prompt in sorted(missing.prompts):
            places = [found[prompt] for found in missing.positions.values() if prompt in found]
            positions = np.unique(np.concatenate(places)) if places else np.empty(0, np.int32)
            token_ids = by_prompt[prompt]["token_id"].to_numpy()
            self._prompts.append(PromptTokens(prompt, token_ids, positions))

    def write(self, addition: Addition) -> dict[str, int]:
        """Adds the model's files and returns the rows of each table."""
        total = sum(len(prompt.token_ids) for prompt in self._prompts)
        counts = dict.fromkeys(TABLES[:2], 0)
        parts = [
            Part(table, members)
            for members in self._batches()
            for table in counts
            if self._has_rows(table, self._members(members))
        ]
        counted = set()
        with Progress(f"{self.model.name:<14}", total, "tokens") as progress:
            for part, entry, was_there in addition.files(self, parts):
                counts[part.table] += entry.rows
                if part.which not in counted:
                    counted.add(part.which)
                    size = sum(len(prompt.token_ids) for prompt in self._members(part.which))
                    (progress.skip if was_there else progress.add)(size)
        print(progress.summary(), file=sys.stderr)
        return counts

    def rows(self, part: Part) -> pa.Table:
        """As `Rerun.rows`."""
        read = self._read(part.which)
        return self._readout_rows(read) if part.table == TABLES[0] else self._write_rows(read)

    def _read(self, members: tuple[int, ...]) -> BatchReadout:
        """Prompts that were read out; once where they are asked for in a row."""
        if self._was_read is None or self._was_read[0] != members:
            self._was_read = None  # or two would be held at once
            self._was_read = members, self._reader.read(self._members(members))
        return self._was_read[1]

    def _members(self, members: Sequence[int]) -> list[PromptTokens]:
        return [self._prompts[member] for member in members]

    def _batches(self) -> list[tuple[int, ...]]:
        lengths = [len(prompt.token_ids) for prompt in self._prompts]
        a_token = 3 * self.model.n_layers * int(self.model.bridge.cfg.d_model)
        limit = min(_MAX_TOKENS_A_BATCH, _NUMBERS_A_BATCH // a_token)
        plan = plan_batches(lengths, self.model.n_heads, limit)
        return [tuple(batch.members) for batch in plan]

    def _has_rows(self, table: str, prompts: Sequence[PromptTokens]) -> bool:
        if table == "layer_readouts":
            return any(len(prompt.positions) for prompt in prompts)
        return any(prompt.prompt_id in self._missing.measured for prompt in prompts)

    def _readout_rows(self, read: BatchReadout) -> pa.Table:
        prompts = np.concatenate([np.full_like(p.positions, p.prompt_id) for p in read.prompts])
        positions = np.concatenate([p.positions for p in read.prompts])
        parts = []
        for number, name in enumerate(self._classes):
            absent = self._missing.positions[name]
            pairs = zip(prompts.tolist(), positions.tolist(), strict=True)
            is_absent = np.array([p in absent and q in absent[p] for p, q in pairs], dtype=bool)
            probability = read.probability[:, number, is_absent]
            n_layers, n_positions = probability.shape
            parts.append(
                pa.table(
                    {
                        "model": pa.repeat(self.model.name, probability.size),
                        "token_class": pa.repeat(name, probability.size),
                        "layer": np.repeat(np.arange(n_layers, dtype=np.int16), n_positions),
                        "prompt_id": np.tile(prompts[is_absent], n_layers),
                        "position": np.tile(positions[is_absent], n_layers),
                        "probability": probability.ravel(),
                    }
                )
            )
        return pa.concat_tables(parts)

    def _write_rows(self, read: BatchReadout) -> pa.Table:
        lengths = [len(p.token_ids) for p in read.prompts]
        prompts = np.repeat([p.prompt_id for p in read.prompts], lengths).astype(np.int32)
        positions = np.concatenate([np.arange(n, dtype=np.int32) for n in lengths])
        is_absent = np.isin(prompts, list(self._missing.measured))
        n_layers, n_heads, _ = read.output_norm.shape
        n_rows, n_places = n_layers * n_heads, int(is_absent.sum())
        layers, heads = np.indices((n_layers, n_heads), dtype=np.int16).reshape(2, -1)
        direct = read.direct_logit[..., is_absent].ravel()
        return pa.table(
            {
                "model": pa.repeat(self.model.name, n_rows * n_places),
                "layer": np.repeat(layers, n_places),
                "head": np.repeat(heads, n_places),
                "prompt_id": np.tile(prompts[is_absent], n_rows),
                "position": np.tile(positions[is_absent], n_rows),
                "output_norm": read.output_norm[..., is_absent].ravel(),
                "direct_logit": pa.array(direct, mask=np.isnan(direct)),
                "value_norm": read.value_norm[..., is_absent].ravel(),
            }
        )
