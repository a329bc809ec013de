"""The pattern statistics once more, on raw cells: loops and dense vectors, no code shared."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sql.computed.matching.head_products import PromptWeights

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def cells_of(prompt: PromptWeights) -> list[int]:
    """The cells that count: all but those of query 0."""
    return [cell for cell, query in enumerate(prompt.query) if query > 0]


def class_of(prompt: PromptWeights, cell: int) -> tuple[int, int, int, int]:
    query, key = int(prompt.query[cell]), int(prompt.key[cell])
    return query - key, int(key == 0), int(prompt.role_query[cell]), int(prompt.role_key[cell])


def content_vectors(prompts: Sequence[PromptWeights], counts: Sequence[int]) -> Floats:
    """`[head, cell]`: roots of the weights less their class's mean; prompts repeated as counted."""
    roots, classes = [], []
    for prompt, count in zip(prompts, counts, strict=True):
        for _ in range(count):
            for cell in cells_of(prompt):
                roots.append([math.sqrt(float(weight)) for weight in prompt.weights[:, cell]])
                classes.append(class_of(prompt, cell))
    vectors = np.array(roots).T
    for name in set(classes):
        members = [cell for cell, own in enumerate(classes) if own == name]
        vectors[:, members] -= vectors[:, members].mean(axis=1, keepdims=True)
    return vectors


def whitened_cosines(
    a: Floats,
    b: Floats,
    layers_a: Integers,
    layers_b: Integers,
    n_dimensions: int | None = None,
) -> Floats:
    """`[head of a, head of b]` of vectors `[head, cell]`: centred, ridge-whitened in cell space.

    n_dimensions: over which the ridge is a mean; None for those that have an eigenvalue.
    """
    a, b = layer_centred(a, layers_a), layer_centred(b, layers_b)
    covariance = a.T @ a / len(a) + b.T @ b / len(b)
    values, directions = np.linalg.eigh(covariance)
    known = values[values > 1e-9 * values.max()]
    ridge = known.sum() / (n_dimensions or len(known))
    whitening = directions @ np.diag((np.maximum(values, 0) + ridge) ** -0.5) @ directions.T
    a, b = a @ whitening, b @ whitening
    norms = np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    cosines: Floats = a @ b.T / norms
    return cosines


def mean_best_match(cosines: Floats) -> float:
    """How alike two models are: the mean of atanh of the best cosine of every head of both.

    cosines: `[head of a, head of b]`. NaN where all are.
    """
    known = np.where(np.isnan(cosines), -np.inf, cosines)
    best = [value for value in (*known.max(axis=0), *known.max(axis=1)) if np.isfinite(value)]
    limit = 1 - 1e-6
    return float(np.mean(np.arctanh(np.clip(best, -limit, limit)))) if best else math.nan


def layer_centred(heads: Floats, layers: Integers) -> Floats:
    centred = heads.copy()
    for layer in set(layers.tolist()):
        centred[layers == layer] -= heads[layers == layer].mean(axis=0)
    return centred


def random_prompts(
    n_prompts: int, n_heads: int, seed: int, is_causal: bool = True, n_roles: int = 3
) -> list[PromptWeights]:
    """Softmax rows of random scores, on prompts of 3 to 7 tokens."""
    generator = np.random.default_rng(seed)
    prompts = []
    for number in range(n_prompts):
        n_tokens = int(generator.integers(3, 8))
        query, key = np.tril_indices(n_tokens) if is_causal else np.indices((n_tokens,) * 2)
        query, key = query.ravel(), key.ravel()
        scores = generator.normal(size=(n_heads, n_tokens, n_tokens))
        if is_causal:
            scores[:, *np.triu_indices(n_tokens, 1)] = -np.inf
        weights = np.exp(scores)
        weights /= weights.sum(axis=-1, keepdims=True)
        role = generator.integers(0, n_roles, n_tokens)
        chosen = weights[:, query, key].astype(np.float32)
        prompts.append(PromptWeights(number, chosen, query, key, role[query], role[key]))
    return prompts
