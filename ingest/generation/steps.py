"""Contexts that texts are generated from, and the steps that a generated text lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingest.prompts.sequence import END, SEP, STEPS, encode_sequence, encode_text, marker_ids

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from ingest.prompts.prompt_set import Prompt


@dataclass(frozen=True)
class Context:
    """The tokens that a text continues, and those that end it."""

    token_ids: tuple[int, ...]
    end_ids: frozenset[int]


def context_of(tokenizer: Tokenizer, prompt: Prompt, config: dict[str, Any]) -> Context:
    """What a model continues: a task up to `<|steps|>`, of a plain text all of it.

    config: of the model; a plain text is ended by its `eos_token_id`, where it names one.

    Raises: InputError where the prompt has steps and the tokenizer lacks a marker.
    """
    if prompt.task is None or prompt.steps is None:
        ids = tuple(token.token_id for token in encode_text(tokenizer, prompt.text))
        return Context(ids, _end_ids(config.get("eos_token_id")))
    markers = marker_ids(tokenizer)
    ids = tuple(token.token_id for token in encode_sequence(tokenizer, prompt.task, prompt.steps))
    return Context(ids[: ids.index(markers[STEPS]) + 1], frozenset({markers[END]}))


def _end_ids(stated: Any) -> frozenset[int]:
    listed = stated if isinstance(stated, list) else [stated]
    return frozenset(token_id for token_id in listed if isinstance(token_id, int))


def steps_of(tokenizer: Tokenizer, token_ids: Sequence[int]) -> list[str]:
    """The steps that a text generated for a task lists.

    They lie between `<|sep|>` and before `<|end|>`; what holds no text is none, so a separator
    after the last step, as some training texts have it, adds none. A last step that was cut off
    counts.
    """
    markers = marker_ids(tokenizer)
    parts: list[list[int]] = [[]]
    for token_id in token_ids:
        if token_id == markers[END]:
            break
        if token_id == markers[SEP]:
            parts.append([])
        else:
            parts[-1].append(token_id)
    decoded = (tokenizer.decode(part, skip_special_tokens=False).strip() for part in parts)
    return [step for step in decoded if step]
