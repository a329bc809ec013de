"""The analysis once more in plain numpy, written from its definition and sharing no code with it.

Loops are meant: an oracle is read, not run often.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Patterns = Sequence[NDArray[np.float32]]  # one [layer, head, query, key] a prompt


def bin_of(query: int, n_tokens: int, bins: int) -> int:
    return min(int((query / n_tokens) * bins), bins - 1)


def profiles(
    patterns: Patterns, structural: Sequence[NDArray[np.bool_]], bins: int = 20
) -> NDArray[np.float64]:
    """[layer, head, bin]: mean structural mass of the queries 1..T-1 of all prompts."""
    n_layers, n_heads = patterns[0].shape[:2]
    sums = np.zeros((n_layers, n_heads, bins))
    counts = np.zeros(bins)
    for pattern, is_structural in zip(patterns, structural, strict=True):
        n_tokens = pattern.shape[-1]
        for query in range(1, n_tokens):
            bin_ = bin_of(query, n_tokens, bins)
            counts[bin_] += 1
            sums[:, :, bin_] += pattern[:, :, query, is_structural].astype(np.float64).sum(axis=-1)
    return np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)


def cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    norms = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / norms) if norms else 0.0


Head = tuple[str, int, int]


def cosines(by_model: Mapping[str, NDArray[np.float64]]) -> dict[tuple[Head, Head], float]:
    """The cosine of every two heads of two different models, from profiles [layer, head, bin]."""
    heads = {
        (model, layer, head): profile[layer, head]
        for model, profile in by_model.items()
        for layer in range(profile.shape[0])
        for head in range(profile.shape[1])
    }
    return {(a, b): cosine(heads[a], heads[b]) for a in heads for b in heads if a[0] != b[0]}
