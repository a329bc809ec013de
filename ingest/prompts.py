"""Prompts: what the models are asked to read, and how a file of them becomes a prompt set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.dataset.errors import InputError
from ingest.sequence import MARKERS, sequence_text

PAIRED_TASKS = Path(__file__).parent / "data" / "paired_tasks.jsonl"
ALL_VARIANTS = "all"
_KNOWN_FIELDS = {"pair_id", "variant", "task", "steps", "complexity"}


@dataclass(frozen=True)
class Prompt:
    """One prompt. prompt_id is its 0-based position among the records of the file it came from."""

    prompt_id: int
    pair_id: str
    variant: str
    task: str
    steps: tuple[str, ...]
    complexity: int | None
    line: int

    @property
    def text(self) -> str:
        """The whole prompt as one text, markers written out."""
        return sequence_text(self.task, self.steps)

    def row(self) -> dict[str, Any]:
        """The prompt as a row of the table `prompts`."""
        return {
            "prompt_id": self.prompt_id,
            "pair_id": self.pair_id,
            "variant": self.variant,
            "task": self.task,
            "steps": list(self.steps),
            "complexity": self.complexity,
            "text": self.text,
        }


@dataclass(frozen=True)
class PromptSet:
    """The prompts of one dataset, in file order.

    variant: which variant was chosen, or `all`; left_out: how many prompts of other variants the
    file had; ignored_fields: fields that mean nothing here, with the number of records that had
    them.
    """

    path: Path
    variant: str
    prompts: tuple[Prompt, ...]
    left_out: int
    ignored_fields: dict[str, int]

    @property
    def sha256(self) -> str:
        """A hash of what the prompts say, whatever the file looked like."""
        rows = [prompt.row() for prompt in self.prompts]
        return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()


def read_prompts(path: Path, variant: str = "standard") -> PromptSet:
    """Reads a JSON Lines file of `{"pair_id", "variant", "task", "steps"}` records.

    `complexity` (an integer) is optional. Empty lines are passed over.

    Raises: InputError, naming the file and the line, where a record cannot be used.
    """
    prompts: list[Prompt] = []
    first_line: dict[tuple[str, str], int] = {}
    ignored: dict[str, int] = {}
    for prompt_id, (number, record) in enumerate(_records(path)):
        where = f"{path}, line {number}"
        prompt = _prompt_from(record, prompt_id, number, where)
        pair = (prompt.pair_id, prompt.variant)
        if pair in first_line:
            raise InputError(
                f"{where}: pair {pair[0]} has the variant {pair[1]} already on line {first_line[pair]}",
                hint="every pair_id may have each variant once",
            )
        first_line[pair] = number
        for field in record.keys() - _KNOWN_FIELDS:
            ignored[field] = ignored.get(field, 0) + 1
        prompts.append(prompt)
    chosen = [prompt for prompt in prompts if variant in (ALL_VARIANTS, prompt.variant)]
    if not chosen:
        found = ", ".join(sorted({prompt.variant for prompt in prompts})) or "none at all"
        raise InputError(
            f"{path} has no prompt of the variant {variant!r} (variants found: {found})",
            hint="choose one with --variant, or --variant all",
        )
    return PromptSet(path, variant, tuple(chosen), len(prompts) - len(chosen), ignored)


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON Lines file with their 1-based line numbers."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read the prompts in {path}: {error.strerror or error}",
            hint="give a JSON Lines file with --prompts, or leave --prompts out for the 12 tasks",
        ) from error
    for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not raw.strip():
            continue
        where = f"{path}, line {number}"
        try:
            record = json.loads(raw.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise InputError(
                f"{where}: not valid UTF-8 (byte {error.start} of the line)",
                hint="save the file as UTF-8",
            ) from error
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise InputError(
                f"{where}: not JSON ({reason})",
                hint='a line is one record: {"pair_id": 0, "variant": "standard", '
                '"task": "Make tea", "steps": ["Boil water"]}',
            ) from error
        if not isinstance(record, dict):
            raise InputError(f"{where}: not a JSON object", hint="a line is one record in braces")
        yield number, record


def _prompt_from(record: dict[str, Any], prompt_id: int, line: int, where: str) -> Prompt:
    pair_id = record.get("pair_id")
    if isinstance(pair_id, bool) or not isinstance(pair_id, int | str):
        raise InputError(f'{where}: "pair_id" is missing or neither a number nor a text')
    variant = _text_field(record, "variant", where)
    if variant == ALL_VARIANTS:
        raise InputError(f'{where}: "all" is no variant, it stands for all of them')
    task = _text_field(record, "task", where)
    steps = record.get("steps")
    if not isinstance(steps, list) or not steps:
        raise InputError(
            f"{where}: the prompt has no steps", hint='"steps" is a list of at least one text'
        )
    for index, step in enumerate(steps):
        if not isinstance(step, str) or not step.strip():
            raise InputError(f"{where}: step {index} is empty or no text")
    complexity = record.get("complexity")
    if complexity is not None and (isinstance(complexity, bool) or not _is_int16(complexity)):
        raise InputError(f'{where}: "complexity" is no small whole number')
    for text in (task, *steps):
        _check_text(text, where)
    return Prompt(prompt_id, str(pair_id), variant, task, tuple(steps), complexity, line)


def _is_int16(value: Any) -> bool:
    return isinstance(value, int) and -(2**15) <= value < 2**15


def _text_field(record: dict[str, Any], name: str, where: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f'{where}: "{name}" is missing, empty or no text')
    return value


def _check_text(text: str, where: str) -> None:
    found = next((marker for marker in MARKERS if marker in text), None)
    if found:
        raise InputError(
            f"{where}: the text contains the marker {found}",
            hint="headswap adds the markers itself; give plain task and steps",
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{where}: the text holds half a character (a lone surrogate)") from error
