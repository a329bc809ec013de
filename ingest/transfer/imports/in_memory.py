"""Attention in memory, as notebooks hand it to BertViz and CircuitsVis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ingest.kernel.errors import InputError
from ingest.transfer.imports.imported import ImportOptions, import_arrays
from ingest.transfer.imports.prompt_arrays import PromptArrays, Weights, as_tokens, as_weights

_SOURCE = "import:arrays"


def import_from_memory(
    attention: Any,
    tokens: Sequence[Any],
    out: Path,
    model: str,
    structural: str | None,
    precision: str,
) -> None:
    """Makes a dataset of arrays; see `headswap.from_arrays`, which states the shapes."""
    options = ImportOptions(model, _SOURCE, structural=structural, precision=precision)
    if not len(tokens):
        raise InputError("there are no tokens", hint="give the text of each token")
    is_one = isinstance(tokens[0], str)
    of_prompts = [attention] if is_one else list(attention)
    texts = [tokens] if is_one else list(tokens)
    if len(of_prompts) != len(texts):
        raise InputError(
            f"there is attention of {len(of_prompts):,} prompts, but tokens of {len(texts):,}",
            hint="give one list of tokens for each prompt",
        )
    import_arrays(
        [
            _prompt(content, of_prompt, f"prompt {number}")
            for number, (content, of_prompt) in enumerate(zip(of_prompts, texts, strict=True))
        ],
        out,
        options,
    )


def _prompt(content: Any, tokens: Any, where: str) -> PromptArrays:
    texts, _ = as_tokens(tokens, where)
    if texts is None:
        raise InputError(f"{where}: tokens are numbers, not texts", hint="give their texts")

    def read() -> Weights:
        return as_weights(content, where)

    return PromptArrays(where, texts, None, read)
