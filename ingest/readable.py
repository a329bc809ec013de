"""Which prompts every model can read: the others are left out for all, counted and listed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ingest.dataset.manifest import LeftOut, Manifest
from ingest.kernel.errors import InputError
from ingest.prompts.prompt_set import PromptSet
from ingest.prompts.sequence import LEAST_TOKENS, encode_prompt

if TYPE_CHECKING:
    from ingest.models.loaded import LoadedModel
    from ingest.producers.attention import Encoded


def encode_all(model: LoadedModel, prompts: PromptSet) -> Encoded:
    """The token ids of every prompt as the model's tokenizer sees it.

    Raises: InputError where a prompt has no token, or more than the model's context.
    """
    encoded = _encoded(model, prompts)
    for prompt, tokens in zip(prompts.prompts, encoded, strict=True):
        if problem := _problem(model, len(tokens)):
            raise InputError(
                f"{prompt.where}: {problem}",
                hint="shorten the prompt, or leave out all that a model cannot read with "
                "--skip-unreadable, for all models, in a new dataset",
            )
    return encoded


def encode_readable(
    models: Sequence[LoadedModel], prompts: PromptSet
) -> tuple[PromptSet, list[Encoded], tuple[LeftOut, ...]]:
    """The prompts that every model can read, their token ids by model, and those left out.

    Left out are prompts without a token, with more than a model's context, and with fewer than
    `LEAST_TOKENS`.

    Raises: InputError where none is left.
    """
    encoded = [_encoded(model, prompts) for model in models]
    left_out = []
    for index, prompt in enumerate(prompts.prompts):
        problems = (
            (model.name, _problem(model, len(tokens[index]), LEAST_TOKENS))
            for model, tokens in zip(models, encoded, strict=True)
        )
        if found := next(((name, problem) for name, problem in problems if problem), None):
            left_out.append(LeftOut(prompt.prompt_id, found[0], found[1]))
    kept = prompts.without({entry.prompt_id for entry in left_out})
    if not kept.prompts:
        raise InputError(
            f"no prompt is left: {prompts.prompts[0].where}: {left_out[0].reason}",
            hint=f"give prompts of {LEAST_TOKENS} tokens or more that fit every model's context",
        )
    ids = {prompt.prompt_id for prompt in kept.prompts}
    chosen = [index for index, prompt in enumerate(prompts.prompts) if prompt.prompt_id in ids]
    return kept, [[tokens[index] for index in chosen] for tokens in encoded], tuple(left_out)


def stored_of(prompts: PromptSet, manifest: Manifest) -> PromptSet:
    """Those of a file's prompts that a dataset of it did not leave out."""
    return prompts.without({entry.prompt_id for entry in manifest.left_out or ()})


def _encoded(model: LoadedModel, prompts: PromptSet) -> Encoded:
    return [
        np.array(
            [token.token_id for token in encode_prompt(model.tokenizer, prompt, None)], np.int32
        )
        for prompt in prompts.prompts
    ]


def _problem(model: LoadedModel, n_tokens: int, least: int = 1) -> str | None:
    """Why a model cannot read a prompt of so many tokens."""
    if not n_tokens:
        return f"the tokenizer of {model.name!r} makes no token of it"
    if n_tokens < least:
        return f"the prompt has {n_tokens} tokens for model {model.name!r}, fewer than {least}"
    if n_tokens > model.n_ctx:
        return (
            f"the prompt has {n_tokens} tokens, but model {model.name!r} reads at most "
            f"{model.n_ctx}"
        )
    return None
