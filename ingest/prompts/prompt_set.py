"""Prompts: what the models are asked to read, and how a file of them becomes a prompt set."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ingest.kernel.errors import InputError
from ingest.prompts.record_files import STDIN, read_records
from ingest.prompts.sequence import MARKERS, sequence_text

PAIRED_TASKS = Path(__file__).with_name("paired_tasks.jsonl")
ALL_VARIANTS = "all"
_KNOWN_FIELDS = {"pair_id", "variant", "task", "steps", "complexity", "text"}


@dataclass(frozen=True)
class Prompt:
    """One prompt: a task with its steps (the InterpGPT form), any text, or a text in parts.

    prompt_id is its 0-based position among the records of the file it came from; where is its
    place in that file, for messages. task is None for a text, and so are steps but for a probe's,
    which are the parts that it is made of; of a task `text` is the whole sequence with its markers
    written out.
    """

    prompt_id: int
    pair_id: str | None
    variant: str | None
    task: str | None
    steps: tuple[str, ...] | None
    complexity: int | None
    text: str
    where: str

    def content(self) -> dict[str, Any]:
        """All that a prompt says, whatever its place in a file."""
        return {
            "pair_id": self.pair_id,
            "variant": self.variant,
            "task": self.task,
            "steps": None if self.steps is None else list(self.steps),
            "complexity": self.complexity,
            "text": self.text,
        }


@dataclass(frozen=True)
class PromptSet:
    """The prompts of one dataset, in file order.

    variant: which variant was chosen, or `all`, also where no prompt has one; left_out: how many
    prompts of other variants the file had; ignored_fields: fields that mean nothing here, with the
    number of records that had them. earlier: of a shard, the prompts that stand before its own.
    """

    path: Path
    variant: str
    prompts: tuple[Prompt, ...]
    left_out: int
    ignored_fields: dict[str, int]
    earlier: tuple[Prompt, ...] = ()

    @property
    def sha256(self) -> str:
        """A hash of what the prompts say, whatever the file looked like."""
        rows = [prompt.content() | {"prompt_id": prompt.prompt_id} for prompt in self.prompts]
        return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows of the table `prompts`.

        prompt_key: 32 hexadecimal digits made of the content; of a content that stands twice, also
        of how often it stood before, so that keys are unique and the same in every dataset.
        """
        seen = Counter(json.dumps(prompt.content(), sort_keys=True) for prompt in self.earlier)
        for prompt in self.prompts:
            content = json.dumps(prompt.content(), sort_keys=True)
            hashed = hashlib.sha256(f"{content}{seen[content] or ''}".encode()).hexdigest()
            seen[content] += 1
            yield {"prompt_id": prompt.prompt_id, "prompt_key": hashed[:32], **prompt.content()}

    def without(self, prompt_ids: Collection[int]) -> PromptSet:
        """The same but for some prompts; the others keep their ids."""
        kept = (prompt for prompt in self.prompts if prompt.prompt_id not in prompt_ids)
        return replace(self, prompts=tuple(kept))

    def shard(self, number: int, count: int) -> PromptSet:
        """One of `count` shards, numbered from 1, of nearly the same number of prompts.

        Prompts keep their ids and keys, so that the shards' datasets merge into that of all.

        Raises: InputError where there is no such shard, or one would have no prompt.
        """
        n_prompts = len(self.prompts)
        if not 1 <= number <= count:
            raise InputError(
                f"there is no shard {number} of {count}",
                hint=f"they are 1/{count} to {count}/{count}",
            )
        if count > n_prompts:
            raise InputError(
                f"{n_prompts:,} prompts cannot be cut into {count:,} shards",
                hint=f"choose at most {n_prompts:,}",
            )
        start, end = ((part * n_prompts) // count for part in (number - 1, number))
        return replace(self, prompts=self.prompts[start:end], earlier=self.prompts[:start])


def read_prompts(path: Path, variant: str = "standard", needs_steps: bool = True) -> PromptSet:
    """Reads a file of records with `pair_id`, `variant`, `task` and `steps`, or with `text`.

    `complexity` (an integer) is optional; with `text`, so are `pair_id` and `variant`. Prompts
    without a variant are always taken. For the formats see `ingest.prompts.record_files`.

    needs_steps: False where a task alone will do, as for one to be continued; its steps are then
    none, and `pair_id` and `variant` optional.

    Raises: InputError, naming the file and the line, where a record cannot be used.
    """
    name = Path("stdin") if path == STDIN else path
    return prompt_set_of(read_records(path), name, variant, needs_steps)


def prompt_set_of(
    records: Iterable[tuple[str, dict[str, Any]]],
    path: Path,
    variant: str,
    needs_steps: bool = True,
) -> PromptSet:
    """Makes a prompt set of records, each with its place for messages; as `read_prompts`."""
    prompts: list[Prompt] = []
    first_place: dict[tuple[str, str | None], str] = {}
    ignored: dict[str, int] = {}
    for prompt_id, (where, record) in enumerate(records):
        prompt = _prompt_from(record, prompt_id, where, needs_steps)
        if prompt.pair_id is not None:
            pair = (prompt.pair_id, prompt.variant)
            if pair in first_place:
                raise InputError(
                    f"{where}: pair {pair[0]} has the variant {pair[1]} already "
                    f"({first_place[pair]})",
                    hint="every pair_id may have each variant once",
                )
            first_place[pair] = where
        for field in record.keys() - _KNOWN_FIELDS:
            ignored[field] = ignored.get(field, 0) + 1
        prompts.append(prompt)
    if not prompts:
        raise InputError(f"{path} has no prompt", hint="give one at least")
    chosen = [p for p in prompts if variant == ALL_VARIANTS or p.variant in (None, variant)]
    if not chosen:
        found = ", ".join(sorted({str(prompt.variant) for prompt in prompts}))
        raise InputError(
            f"{path} has no prompt of the variant {variant!r} (variants found: {found})",
            hint="choose one with --variant, or --variant all",
        )
    has_variant = any(prompt.variant for prompt in chosen)
    stored = variant if has_variant else ALL_VARIANTS
    return PromptSet(path, stored, tuple(chosen), len(prompts) - len(chosen), ignored)


def stored_prompts(rows: Iterable[dict[str, Any]], variant: str, path: Path) -> PromptSet:
    """The prompt set that a dataset holds, from the rows of its table `prompts` in `path`."""
    prompts = tuple(
        Prompt(
            **{name: value for name, value in row.items() if name not in ("prompt_key", "steps")},
            steps=None if row["steps"] is None else tuple(row["steps"]),
            where=f"{path}, prompt {row['prompt_id']}",
        )
        for row in sorted(rows, key=lambda row: row["prompt_id"])
    )
    return PromptSet(path, variant, prompts, 0, {})


def _prompt_from(record: dict[str, Any], prompt_id: int, where: str, needs_steps: bool) -> Prompt:
    pair_id, variant = record.get("pair_id"), record.get("variant")
    if isinstance(pair_id, bool) or not isinstance(pair_id, int | str | None):
        raise InputError(f'{where}: "pair_id" is neither a number nor a text')
    if variant == ALL_VARIANTS:
        raise InputError(f'{where}: "all" is no variant, it stands for all of them')
    complexity = record.get("complexity")
    if complexity is not None and not _is_int16(complexity):
        raise InputError(f'{where}: "complexity" is no small whole number')
    task, steps, text = _content_of(record, where, needs_steps)
    return Prompt(
        prompt_id=prompt_id,
        pair_id=None if pair_id is None else str(pair_id),
        variant=None if variant is None else _text_field(record, "variant", where),
        task=task,
        steps=steps,
        complexity=complexity,
        text=text,
        where=where,
    )


def _content_of(
    record: dict[str, Any], where: str, needs_steps: bool
) -> tuple[str | None, tuple[str, ...] | None, str]:
    """What a record asks the models to read: task, steps and the whole text."""
    if "text" in record:
        if "task" in record or "steps" in record:
            raise InputError(
                f'{where}: both "text" and "task" with "steps"', hint="give one of the two"
            )
        return None, None, _text_field(record, "text", where)
    if record.get("task") is None and record.get("steps") is None:
        raise InputError(
            f'{where}: neither "text" nor "task" with "steps"', hint=_field_hint(record)
        )
    has_steps = needs_steps or record.get("steps") is not None
    if has_steps:
        if record.get("pair_id") is None:
            raise InputError(f'{where}: "pair_id" is missing')
        _text_field(record, "variant", where)
    task = _text_field(record, "task", where)
    steps = record.get("steps") if has_steps else []
    if not isinstance(steps, list) or (has_steps and not steps):
        raise InputError(
            f"{where}: the prompt has no steps", hint='"steps" is a list of at least one text'
        )
    for index, step in enumerate(steps):
        if not isinstance(step, str) or not step.strip():
            raise InputError(f"{where}: step {index} is empty or no text")
        _check_characters(step, where)
    found = next((m for m in MARKERS if any(m in text for text in (task, *steps))), None)
    if found:
        raise InputError(
            f"{where}: the text contains the marker {found}",
            hint="headswap adds the markers itself; give plain task and steps",
        )
    return task, tuple(steps), sequence_text(task, steps)


def _field_hint(record: dict[str, Any]) -> str:
    """What a record without a text probably calls it."""
    others = [name for name in record if name not in _KNOWN_FIELDS]
    guess = next((name for name in others if isinstance(record[name], str)), None)
    form = 'a record is {"text": "..."}, or has "pair_id", "variant", "task" and "steps"'
    return f'rename {guess!r} to "text"? {form}' if guess else form


def _is_int16(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**15) <= value < 2**15


def _text_field(record: dict[str, Any], name: str, where: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f'{where}: "{name}" is missing, empty or no text')
    _check_characters(value, where)
    return value


def _check_characters(text: str, where: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{where}: the text holds half a character (a lone surrogate)") from error
