"""Attention as others hold it: two prompts' patterns as arrays, as a batch, as a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

Array = NDArray[np.float32]
TOKENS = [["Make", " tea", " now"], ["Rest", "."]]


def softmax(scores: NDArray[np.float64], is_causal: bool = True) -> Array:
    """Weights of the shape of the scores `[..., query, key]`."""
    n = scores.shape[-1]
    hidden = np.triu(np.ones((n, n), dtype=bool), 1) & is_causal
    raised = np.where(hidden, -np.inf, scores)
    exponentials = np.exp(raised - raised.max(axis=-1, keepdims=True))
    weights: Array = (exponentials / exponentials.sum(axis=-1, keepdims=True)).astype(np.float32)
    return weights


def patterns(is_causal: bool = True) -> list[Array]:
    """Attention [layer, head, query, key] of 2 layers of 3 heads on the prompts of TOKENS."""
    random = np.random.default_rng(7)
    return [
        softmax(random.normal(size=(2, 3, len(tokens), len(tokens))), is_causal)
        for tokens in TOKENS
    ]


def arrays(made: list[Array]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for number, (pattern, tokens) in enumerate(zip(made, TOKENS, strict=True)):
        named |= {f"attention_{number}": pattern, f"tokens_{number}": np.array(tokens)}
    return named


def table(made: list[Array], **renamed: str) -> pl.DataFrame:
    """The patterns as a table of the user's, zeros left out."""
    rows = [
        {"prompt_id": prompt, "layer": layer, "head": head, "query": query, "key": key}
        | {"weight": float(pattern[layer, head, query, key]), "token": TOKENS[prompt][query]}
        for prompt, pattern in enumerate(made)
        for layer, head, query, key in np.argwhere(pattern > 0).tolist()
    ]
    shuffled = pl.DataFrame(rows).sample(fraction=1.0, shuffle=True, seed=1)
    return shuffled.rename(renamed)


def layers_of_a_batch(made: list[Array]) -> tuple[torch.Tensor, ...]:
    """Layers [batch, head, query, key] as a model gives them of prompts padded behind."""
    batch = np.zeros((2, 2, 3, 3, 3), dtype=np.float32)  # [layer, batch, head, query, key]
    for number, pattern in enumerate(made):
        n = pattern.shape[-1]
        batch[:, number, :, :n, :n] = pattern
        batch[:, number, :, n:, 0] = 1.0  # what a padded position attends to
    return tuple(torch.from_numpy(layer) for layer in batch)
