"""The tokens of imported prompts: what stands where, as far as it is known."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.kernel.errors import InputError
from ingest.kernel.files import sha256_of
from ingest.models.source import tokenizer_name
from ingest.prompts.prompt_set import Prompt, PromptSet
from ingest.prompts.sequence import END, MARKERS, SEP, STEPS, TASK, encode_prompt
from ingest.transfer.imports.prompt_arrays import PromptArrays, as_tokens, check_lengths


@dataclass(frozen=True)
class Tokens:
    """The tokens of all prompts of an import.

    tokenizer: its name in the dataset; sha256: of its file, None where only the tokens are known.
    of_prompts: for each prompt the columns of the table `tokens` from token_id on.
    """

    tokenizer: str
    sha256: str | None
    of_prompts: list[list[dict[str, Any]]]

    def rows(self, prompts: PromptSet) -> Iterator[dict[str, Any]]:
        """The rows of the table `tokens`."""
        for prompt, tokens in zip(prompts.prompts, self.of_prompts, strict=True):
            for position, token in enumerate(tokens):
                place = {"prompt_id": prompt.prompt_id, "position": position}
                yield {"tokenizer": self.tokenizer, **place, **token}


def read_tokens_file(path: Path) -> list[tuple[str, ...]]:
    """The tokens of each prompt: JSON, a list of lists of texts, or one list for one prompt.

    Raises: InputError where it cannot be read as that.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read the tokens in {path}: {reason}") from error
    hint = 'one list a prompt: [["Make", " tea"], ["Rest"]]'
    if not isinstance(content, list) or not content:
        raise InputError(f"{path} is not a list of lists of tokens", hint=hint)
    lists = content if isinstance(content[0], list) else [content]
    found = []
    for number, tokens in enumerate(lists):
        where = f"{path}, prompt {number}"
        if not isinstance(tokens, list):
            raise InputError(f"{where}: not a list of tokens", hint=hint)
        texts, _ = as_tokens(tokens, where)
        if texts is None:
            raise InputError(f"{where}: numbers, not texts", hint=hint)
        found.append(texts)
    return found


def texts_of(
    prompts: Sequence[PromptArrays], given: Sequence[tuple[str, ...]] | None
) -> list[tuple[str, ...]]:
    """The text of each token of each prompt; given: those that come apart from the arrays.

    Raises: InputError where a prompt has none.
    """
    if given is not None:
        check_lengths(prompts, len(given), "tokens of")
        return list(given)
    found = []
    for prompt in prompts:
        if prompt.tokens is None:
            raise InputError(
                f"{prompt.where}: it is not known what its tokens are",
                hint="name a JSON file of them with --tokens, or the model's tokenizer.json with "
                "--tokenizer and the prompts with --prompts",
            )
        found.append(prompt.tokens)
    return found


def known_by_texts(
    arrays: Sequence[PromptArrays],
    texts: Sequence[tuple[str, ...]],
    prompts: PromptSet,
    pattern: re.Pattern[str] | None,
) -> Tokens:
    """Tokens of which the text is known. Equal tokens of all prompts make equal tokenizers.

    pattern: as `structural_pattern` gives it.
    """
    content = json.dumps([list(tokens) for tokens in texts]).encode()
    of_prompts = [
        _described(tokens, one.token_ids, prompt, pattern)
        for one, tokens, prompt in zip(arrays, texts, prompts.prompts, strict=True)
    ]
    return Tokens(f"tokens-{hashlib.sha256(content).hexdigest()[:12]}", None, of_prompts)


def _described(
    texts: Sequence[str],
    token_ids: Sequence[int] | None,
    prompt: Prompt,
    pattern: re.Pattern[str] | None,
) -> list[dict[str, Any]]:
    """One prompt's tokens; spans are known where the tokens together are the prompt's text."""
    ids: Sequence[int | None] = token_ids or [None] * len(texts)
    if len(ids) != len(texts):
        raise InputError(f"{prompt.where}: {len(ids)} numbers of tokens for {len(texts)} tokens")
    ends = list(itertools.accumulate(map(len, texts)))
    is_cut = "".join(texts) == prompt.text
    rows = []
    for position, (text, token_id, (role, step)) in enumerate(
        zip(texts, ids, _roles(texts), strict=True)
    ):
        is_structural = bool(pattern.search(text)) if pattern else role == "marker"
        rows.append(
            {
                "token_id": token_id,
                "token": text,
                "role": role,
                "step_index": step,
                "char_start": ends[position] - len(text) if is_cut else None,
                "char_end": ends[position] if is_cut else None,
                "is_structural": is_structural,
            }
        )
    return rows


def _roles(texts: Sequence[str]) -> Iterator[tuple[str, int | None]]:
    """Role and step of each token: those of an InterpGPT sequence where it is one, else text."""
    is_sequence = len(texts) > 2 and (texts[0], texts[-1]) == (TASK, END) and STEPS in texts
    role, step = "text", None
    for text in texts:
        if not is_sequence or text not in MARKERS:
            yield role, step
            continue
        yield "marker", None
        if text == TASK:
            role = "task"
        elif text in (STEPS, SEP):
            role, step = "step", 0 if step is None else step + 1


def known_by_tokenizer(
    arrays: Sequence[PromptArrays],
    tokenizer_file: Path,
    prompts: PromptSet,
    pattern: re.Pattern[str] | None,
) -> Tokens:
    """Tokens as the model's tokenizer makes them of the prompts, as an ingest would.

    Raises: InputError where the tokenizer cannot be read, or makes other tokens than the source
    numbers.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(tokenizer_file))
    except Exception as error:  # the package raises nothing more precise
        raise InputError(f"{tokenizer_file} is no readable tokenizer: {error}") from error
    of_prompts = []
    for one, prompt in zip(arrays, prompts.prompts, strict=True):
        tokens = encode_prompt(tokenizer, prompt, pattern)
        made = tuple(token.token_id for token in tokens)
        if one.token_ids is not None and one.token_ids != made:
            raise InputError(
                f"{one.where} has other tokens than {tokenizer_file} makes of {prompt.where}",
                hint="prompts stand in the same order in both",
            )
        of_prompts.append([dict(vars(token)) for token in tokens])
    sha256 = sha256_of(tokenizer_file)
    return Tokens(tokenizer_name(sha256), sha256, of_prompts)
