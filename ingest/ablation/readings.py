"""What is read of a prompt: token sequences, and where in them a token is predicted.

A causal model reads a prompt once and predicts, at each position, the token that follows. An
encoder sees both sides, so that it must not see the token that it is to predict: it reads a prompt
once for each position, with the mask token there, and predicts the token that stood there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ingest.kernel.errors import InputError
from ingest.models.huggingface import is_headless

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.models.loaded import LoadedModel

# As tokenizers name the token that stands for a hidden one.
_MASK_TOKENS = ("[MASK]", "<mask>")
# Stands for the target where no token follows.
NO_TARGET = -1


@dataclass(frozen=True)
class Reading:
    """One sequence that a model reads, int32.

    positions: where predictions are looked at; targets: of each the id of the true token, NO_TARGET
    where the prompt has none.
    """

    prompt_id: int
    token_ids: NDArray[np.int32]
    positions: NDArray[np.int32]
    targets: NDArray[np.int32]


def mask_token_of(model: LoadedModel) -> int | None:
    """The id of an encoder's mask token, None for a causal model.

    Raises: InputError where the model predicts no tokens.
    """
    if is_headless(model.architecture):
        raise InputError(
            f"model {model.name!r} ({model.architecture}) has no tokens to predict: it was saved "
            "without the head that predicts them",
            hint="name models that predict tokens with --model",
        )
    if model.is_causal:
        return None
    for token in _MASK_TOKENS:
        if (found := model.tokenizer.token_to_id(token)) is not None:
            return found
    raise InputError(
        f"model {model.name!r} ({model.architecture}) has no tokens to predict: its tokenizer has "
        f"neither {' nor '.join(_MASK_TOKENS)}",
        hint="name models that predict tokens with --model",
    )


def readings_of(
    prompts: Mapping[int, NDArray[np.int32]], mask_token: int | None
) -> Iterator[Reading]:
    """The readings of prompts, prompts and positions ascending. mask_token: None where causal."""
    for prompt_id, token_ids in sorted(prompts.items()):
        positions = np.arange(len(token_ids), dtype=np.int32)
        if mask_token is None:
            targets = np.append(token_ids[1:], np.int32(NO_TARGET))
            yield Reading(prompt_id, token_ids, positions, targets)
            continue
        for position in positions:
            masked = token_ids.copy()
            masked[position] = mask_token
            here = slice(position, position + 1)
            yield Reading(prompt_id, masked, positions[here], token_ids[here])
