"""A prompt as the sequence of tokens that the models see (the InterpGPT format).

    <|task|> task tokens <|steps|> step tokens (<|sep|> step tokens)* <|end|>

The task and every step are encoded apart, one by one, so that no token spans two of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest.dataset.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TASK, STEPS, SEP, END, PAD = "<|task|>", "<|steps|>", "<|sep|>", "<|end|>", "<|pad|>"
MARKERS = (TASK, STEPS, SEP, END, PAD)


@dataclass(frozen=True)
class EncodedToken:
    """One position of an encoded prompt.

    token: the token decoded on its own, as TransformerLens's ``to_str_tokens`` shows it.
    role: ``marker``, ``task`` or ``step``; step_index: 0-based, None outside a step.
    char_start, char_end: the token's span in the prompt's text, in code points, end exclusive.
    """

    token_id: int
    token: str
    role: str
    step_index: int | None
    char_start: int
    char_end: int
    is_structural: bool


def sequence_text(task: str, steps: Sequence[str]) -> str:
    """The whole prompt as one text, markers written out.

    >>> sequence_text("Make tea", ["Boil water", "Pour"])
    '<|task|>Make tea<|steps|>Boil water<|sep|>Pour<|end|>'
    """
    return f"{TASK}{task}{STEPS}{SEP.join(steps)}{END}"


def marker_ids(tokenizer: Tokenizer) -> dict[str, int]:
    """The token id of each of the five markers.

    Raises: InputError where the tokenizer lacks one of them.
    """
    ids = {marker: tokenizer.token_to_id(marker) for marker in MARKERS}
    missing = [marker for marker, token_id in ids.items() if token_id is None]
    if missing:
        raise InputError(
            f"the tokenizer has no token for {', '.join(missing)}",
            hint="prompts of task and steps need a tokenizer with the five InterpGPT markers: "
            + " ".join(MARKERS),
        )
    return ids


def encode_sequence(tokenizer: Tokenizer, task: str, steps: Sequence[str]) -> list[EncodedToken]:
    """Encodes one prompt, one entry a position, markers included.

    Raises: InputError where the tokenizer lacks a marker.
    """
    ids = marker_ids(tokenizer)
    tokens: list[EncodedToken] = []
    offset = 0

    def add_marker(marker: str) -> None:
        nonlocal offset
        end = offset + len(marker)
        tokens.append(EncodedToken(ids[marker], marker, "marker", None, offset, end, True))
        offset = end

    def add_text(text: str, role: str, step_index: int | None) -> None:
        nonlocal offset
        encoding = tokenizer.encode(text, add_special_tokens=False)
        for token_id, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
            token = tokenizer.decode([token_id], skip_special_tokens=False)
            span = (offset + start, offset + end)
            tokens.append(EncodedToken(token_id, token, role, step_index, *span, False))
        offset += len(text)

    add_marker(TASK)
    add_text(task, "task", None)
    add_marker(STEPS)
    for index, step in enumerate(steps):
        if index:
            add_marker(SEP)
        add_text(step, "step", index)
    add_marker(END)
    return tokens
