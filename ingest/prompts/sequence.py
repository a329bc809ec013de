"""A prompt as the sequence of tokens that the models see.

A task with steps becomes the InterpGPT sequence

    <|task|> task tokens <|steps|> step tokens (<|sep|> step tokens)* <|end|>

in which the task and every step are encoded apart, one by one, so that no token spans two of them.
A plain text becomes what its tokenizer makes of it, special tokens included; that of a probe has
parts, which number its tokens as steps do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ingest.kernel.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from ingest.prompts.prompt_set import Prompt

TASK, STEPS, SEP, END, PAD = "<|task|>", "<|steps|>", "<|sep|>", "<|end|>", "<|pad|>"
MARKERS = (TASK, STEPS, SEP, END, PAD)
# The source's notebook leaves out shorter prompts: of so few queries a profile says nothing.
LEAST_TOKENS = 5


@dataclass(frozen=True)
class EncodedToken:
    """One position of an encoded prompt.

    token: the token decoded on its own, as TransformerLens's ``to_str_tokens`` shows it.
    role: ``marker``, ``task`` or ``step``; in a plain text ``special`` or ``text``.
    step_index: 0-based, None outside a step, or a part of a probe.
    char_start, char_end: the token's span in the prompt's text, in code points, end exclusive.
    """

    token_id: int
    token: str
    role: str
    step_index: int | None
    char_start: int
    char_end: int
    is_structural: bool


def structural_pattern(text: str | None) -> re.Pattern[str] | None:
    """The regular expression of ``--structural``, None for the default.

    Raises: InputError where it is none.
    """
    if text is None:
        return None
    hint = r"for example --structural '^\s*[.,;:!?]$|\n'"
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise InputError(
            f"--structural {text!r} is no regular expression: {error}", hint=hint
        ) from error
    if pattern.search(""):
        raise InputError(
            f"--structural {text!r} is found in every token, even in an empty one", hint=hint
        )
    return pattern


def with_structural(
    tokens: Sequence[EncodedToken], pattern: re.Pattern[str] | None
) -> list[EncodedToken]:
    """The tokens, structural where the pattern is found in the token's text, if there is one."""
    if pattern is None:
        return list(tokens)
    return [replace(token, is_structural=bool(pattern.search(token.token))) for token in tokens]


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
    found = {marker: tokenizer.token_to_id(marker) for marker in MARKERS}
    ids = {marker: token_id for marker, token_id in found.items() if token_id is not None}
    missing = [marker for marker in MARKERS if marker not in ids]
    if missing:
        raise InputError(
            f"the tokenizer has no token for {', '.join(missing)}",
            hint="prompts of task and steps need a tokenizer with the five InterpGPT markers: "
            + " ".join(MARKERS),
        )
    return ids


def encode_prompt(
    tokenizer: Tokenizer, prompt: Prompt, pattern: re.Pattern[str] | None
) -> list[EncodedToken]:
    """Encodes a prompt of either kind; pattern: as `structural_pattern` gives it.

    Raises: InputError where the prompt has steps and the tokenizer lacks a marker.
    """
    if prompt.task is not None and prompt.steps is not None:
        tokens = encode_sequence(tokenizer, prompt.task, prompt.steps)
    else:
        tokens = encode_text(tokenizer, prompt.text)
        if prompt.steps is not None:
            tokens = _with_parts(tokens, prompt.text, prompt.steps)
    return with_structural(tokens, pattern)


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


def encode_text(tokenizer: Tokenizer, text: str) -> list[EncodedToken]:
    """Encodes a plain text as its tokenizer does, special tokens added; these are structural."""
    added = tokenizer.get_added_tokens_decoder()
    special_ids = {token_id for token_id, token in added.items() if token.special}
    encoding = tokenizer.encode(text, add_special_tokens=True)
    tokens: list[EncodedToken] = []
    entries = zip(encoding.ids, encoding.offsets, encoding.special_tokens_mask, strict=True)
    for token_id, (start, end), is_added in entries:
        is_special = bool(is_added) or token_id in special_ids
        token = tokenizer.decode([token_id], skip_special_tokens=False)
        # An added token stands for no character; where it was added, the text has got so far.
        so_far = tokens[-1].char_end if tokens else 0
        span = (so_far, so_far) if is_added else (start, end)
        role = "special" if is_special else "text"
        tokens.append(EncodedToken(token_id, token, role, None, *span, is_special))
    return tokens


def _with_parts(
    tokens: Sequence[EncodedToken], text: str, parts: Sequence[str]
) -> list[EncodedToken]:
    """The tokens of a text, numbered by the part that they stand in; parts follow each other."""
    ends, end = [], 0
    for part in parts:
        start = text.index(part, end)
        end = start + len(part)
        ends.append((start, end))
    found = []
    for token in tokens:
        # Its last character: some tokenizers count the space before a word as the token's.
        place = token.char_end - 1
        is_there = token.char_end > token.char_start
        inside = (n for n, (start, end) in enumerate(ends) if is_there and start <= place < end)
        found.append(replace(token, step_index=next(inside, None)))
    return found
