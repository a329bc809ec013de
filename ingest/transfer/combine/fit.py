"""Whether datasets are shards of one study, and how their prompts are numbered together.

Shards fit where each model has been run on each prompt in just one of them. Which prompts are the
same is decided by their keys, which are made of their content.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from ingest.dataset.manifest import Manifest, ModelEntry
from ingest.dataset.reader import Dataset, open_dataset
from ingest.dataset.relations import STORED_TABLES
from ingest.kernel.errors import InputError
from ingest.kernel.text import printable

_OTHER_MODEL = "models of one name are one model; ingest the other one under another name"


@dataclass(frozen=True)
class Shard:
    """A dataset that is to be merged. prompts: the key of each of its prompts, by prompt_id."""

    dataset: Dataset
    prompts: dict[int, str]

    @property
    def path(self) -> Path:
        return self.dataset.path

    @property
    def manifest(self) -> Manifest:
        return self.dataset.manifest


def open_shard(path: Path) -> Shard:
    """Opens a dataset as a shard.

    Raises: DatasetError as `open_dataset`; InputError where it is damaged.
    """
    dataset = open_dataset(path)
    for entry in dataset.manifest.files_of("prompts"):
        if not entry.is_intact(path):
            raise damaged(path / entry.path)
    rows = dataset.read_table("prompts").select(["prompt_id", "prompt_key"]).to_pylist()
    return Shard(dataset, {row["prompt_id"]: row["prompt_key"] for row in rows})


def damaged(path: Path) -> InputError:
    """The error of a file whose bytes are not those that its manifest names."""
    return InputError(
        f"{path} is damaged: it has other bytes than the manifest says",
        hint="`headswap verify --repair` may mend it, or get the dataset again",
    )


def check_fit(shards: Sequence[Shard]) -> None:
    """Raises InputError, with the reason, where the datasets are not shards of one study."""
    if len(shards) < 2:
        raise InputError("one dataset alone cannot be merged", hint="name two or more")
    paths = [shard.path.resolve() for shard in shards]
    for number, path in enumerate(paths):
        if path in paths[:number]:
            raise InputError(f"{shards[number].path} is named twice")
    for shard in shards[1:]:
        _check_structural(shards[0], shard)
    tokenizers: dict[str, Shard] = {}
    models: dict[str, Shard] = {}
    for shard in shards:
        for name in shard.manifest.tokenizers:
            _check_same_tokenizer(name, tokenizers.setdefault(name, shard), shard)
        for model in shard.manifest.models:
            _check_same_model(model.name, models.setdefault(model.name, shard), shard)
    for name in models:
        _check_each_once(name, [shard for shard in shards if shard.manifest.model(name)], shards)
    for table in STORED_TABLES.values():
        if table.split == "model" and table.is_optional:
            _check_whole(shards, table.name)


def _misfit(one: Shard, other: Shard, reason: str, hint: str | None = None) -> InputError:
    return InputError(f"{one.path} and {other.path} do not fit: {reason}", hint=hint)


def _check_structural(one: Shard, other: Shard) -> None:
    chosen = (one.manifest.structural, other.manifest.structural)
    if chosen[0] != chosen[1]:
        raise _misfit(
            one,
            other,
            f"their structural tokens were chosen by {chosen[0]!r} and {chosen[1]!r}",
            "a dataset has one choice of structural tokens; ingest with the same --structural",
        )


def _check_same_tokenizer(name: str, one: Shard, other: Shard) -> None:
    if one.manifest.tokenizers[name] != other.manifest.tokenizers[name]:
        raise _misfit(one, other, f"{name!r} names two tokenizers, of different SHA-256")


def _check_same_model(name: str, one: Shard, other: Shard) -> None:
    may_differ = {column.name for column in STORED_TABLES["models"].columns if column.may_differ}
    entries = (one.manifest.model(name), other.manifest.model(name))
    for field in fields(ModelEntry):
        values = [getattr(entry, field.name) for entry in entries]
        if field.name not in may_differ and values[0] != values[1]:
            shown = " and ".join(printable(repr(value))[:70] for value in values)
            reason = f"the model {name!r} has the {field.name} {shown}"
            raise _misfit(one, other, reason, _OTHER_MODEL)


def _check_each_once(model: str, with_model: Sequence[Shard], shards: Sequence[Shard]) -> None:
    """Whether just one shard holds the model on each prompt of all shards."""
    held: dict[str, Shard] = {}
    for shard in with_model:
        both = [prompt_id for prompt_id, key in sorted(shard.prompts.items()) if key in held]
        if both:
            raise _misfit(
                held[shard.prompts[both[0]]],
                shard,
                f"both hold {model!r} on the same prompts, {_count(len(both))} in all, the first "
                f"of which is prompt {both[0]} of {shard.path}",
                "shards hold other models, or the same models on other prompts",
            )
        held |= dict.fromkeys(shard.prompts.values(), shard)
    for shard in shards:
        lacking = [prompt_id for prompt_id, key in sorted(shard.prompts.items()) if key not in held]
        if lacking:
            raise _misfit(
                with_model[0],
                shard,
                f"no dataset holds {model!r} on {_count(len(lacking))} of {shard.path}, the first "
                f"of which is prompt {lacking[0]}",
                "each model must have been run on each prompt; name the dataset that is missing, "
                "or merge an extract of the prompts that all have",
            )


def _check_whole(shards: Sequence[Shard], table: str) -> None:
    """An optional table may lack a model, but not some prompts of one that it has."""
    for model in model_names(shards):
        with_model = [shard for shard in shards if shard.manifest.model(model)]
        has_rows = [bool(shard.manifest.files_of(table, model)) for shard in with_model]
        if any(has_rows) and not all(has_rows):
            one, other = (with_model[has_rows.index(value)].path for value in (True, False))
            raise InputError(
                f"{one} and {other} do not fit: only the first has rows of {model!r} in the table "
                f"{table}",
                hint=f"`headswap {STORED_TABLES[table].made_by}` makes them",
            )


def model_names(shards: Sequence[Shard]) -> list[str]:
    """The models of all shards, in the order in which they come."""
    return list(dict.fromkeys(model.name for shard in shards for model in shard.manifest.models))


def number_prompts(shards: Sequence[Shard]) -> list[dict[int, int]]:
    """What each shard's prompt ids become: one dictionary a shard, from old to new.

    A prompt keeps the id that it has in the first shard that holds it, unless another prompt came
    before it with that id: then it gets the next one after the largest of all so far.
    """
    ids: dict[str, int] = {}
    taken: set[int] = set()
    largest = -1
    numbered = []
    for shard in shards:
        for prompt_id, key in sorted(shard.prompts.items()):
            if key not in ids:
                ids[key] = largest + 1 if prompt_id in taken else prompt_id
                taken.add(ids[key])
                largest = max(largest, ids[key])
        numbered.append({prompt_id: ids[key] for prompt_id, key in shard.prompts.items()})
    return numbered


def absent_rows(shards: Sequence[Shard]) -> Iterator[tuple[str, str]]:
    """Each (optional table, model) of which no shard has rows, of the tables that one has."""
    for table in STORED_TABLES.values():
        stored = [shard for shard in shards if table.name in shard.manifest.tables]
        if table.split == "model" and stored:
            for model in model_names(shards):
                if not any(shard.manifest.files_of(table.name, model) for shard in stored):
                    yield table.name, model


def _count(n_prompts: int) -> str:
    return f"{n_prompts:,} prompt{'s' if n_prompts > 1 else ''}"
