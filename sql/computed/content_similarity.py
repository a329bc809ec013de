"""How alike two heads attend beyond what position and role of the tokens explain: `content`.

1. From the square roots of the weights each class of cells (`head_products`) loses its mean:
   K = sum G - S diag(1/n) S^T, the inner products of what is left.
2. From each head its layer's mean is taken, in both models: heads of a layer share much.
3. Directions that all heads vary along say little about one. With the heads' vectors x as rows of
   A and B, and C = A^T A / n_A + B^T B / n_B, each x becomes x (C + mu I)^(-1/2): ridge
   whitening, where mu is the mean eigenvalue of C over the dimensions that are left.
4. The similarity is the cosine; tests and means use its Fisher transform.

No vector is ever formed. With Z the rows of A / sqrt(n_A) over those of B / sqrt(n_B), and
W = Z Z^T, the inner products after step 3 are Z (Z^T Z + mu I)^(-1) Z^T = W (W + mu I)^(-1).

Of about 80 variants this one was chosen by its errors (docs/statistics.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sql.computed.gram import NEGLIGIBLE, PairGram
from sql.computed.head_products import HeadProducts

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Entries of [draw, class, head] that are in work at once: 128 MB.
_ENTRIES_AT_A_TIME = 1 << 24


def content_products(sums: HeadProducts, block_weights: Floats | None = None) -> Floats:
    """Inner products of the heads beyond position and role, `[draw, head, head]`, float64.

    block_weights: `[draw, block]`, how often each draw counts each block: whole numbers for a
    resample, 0 and 1 for a half of the prompts. None counts every block once, `[head, head]`.
    A head of which position and role leave nothing has only zeros.
    """
    if block_weights is None:
        once: Floats = content_products(sums, np.ones((1, sums.n_blocks)))[0]
        return once
    n_draws, n_heads = len(block_weights), sums.n_heads
    flat = sums.products.reshape(sums.n_blocks, -1)
    content: Floats = (block_weights @ flat).reshape(n_draws, n_heads, n_heads)
    squares = np.diagonal(content, axis1=1, axis2=2).copy()  # [draw, head]
    counts = block_weights @ sums.class_counts  # [draw, class]
    # A class that a draw lacks has sums of 0.
    scales = np.sqrt(np.divide(1.0, counts, out=np.zeros_like(counts), where=counts > 0))
    flat = sums.class_sums.reshape(sums.n_blocks, -1)
    step = max(_ENTRIES_AT_A_TIME // flat.shape[1], 1)
    for start in range(0, n_draws, step):
        draws = slice(start, start + step)
        class_sums = (block_weights[draws] @ flat).reshape(-1, n_heads, counts.shape[1])
        for draw, scaled in enumerate(class_sums * scales[draws, None, :], start):
            content[draw] -= scaled @ scaled.T
    is_empty = np.diagonal(content, axis1=1, axis2=2) <= NEGLIGIBLE * squares
    content[is_empty[:, :, None] | is_empty[:, None, :]] = 0.0
    return content


def content_gram(
    content: Floats, heads_a: Integers, heads_b: Integers, layers: Integers
) -> PairGram:
    """The similarity of two models as inner products, by steps 2 and 3 of the module's text.

    content: of `content_products`, `[..., head, head]`. heads_a, heads_b: the places of either
    model's heads in it. layers: `[head]`, the layer of every head.

    A head that does not differ from its layer's mean, as where a layer has one head, is undefined.
    """
    heads = np.concatenate([heads_a, heads_b])
    chosen: Floats = content[..., heads[:, None], heads]
    n_a, n_b = len(heads_a), len(heads_b)
    # No layer of a is one of b.
    layer = np.concatenate([layers[heads_a] * 2, layers[heads_b] * 2 + 1])
    is_same = layer[:, None] == layer
    centring = np.eye(n_a + n_b) - is_same / is_same.sum(axis=1)
    centred: Floats = centring @ chosen @ centring
    squares = np.diagonal(chosen, axis1=-2, axis2=-1)
    largest = np.where(is_same, squares[..., None, :], 0.0).max(axis=-1)  # [..., head]
    is_empty = np.diagonal(centred, axis1=-2, axis2=-1) <= NEGLIGIBLE * largest
    centred = np.where(is_empty[..., :, None] | is_empty[..., None, :], 0.0, centred)
    scale = np.repeat([n_a**-0.5, n_b**-0.5], [n_a, n_b])
    whitened = _whitened(centred * scale[:, None] * scale, n_a + n_b - len(np.unique(layer)))
    return PairGram(
        whitened[..., :n_a, :n_a],
        whitened[..., :n_a, n_a:],
        whitened[..., n_a:, n_a:],
        layers[heads_a],
        layers[heads_b],
    )


def _whitened(gram: Floats, n_dimensions: int) -> Floats:
    """W (W + mu I)^(-1), `[..., head, head]`, where mu is the trace of W over n_dimensions.

    n_dimensions: heads less layers, as many as centring leaves. Eigenvalues above 0 are counted
    no other way, so that two equal heads and two almost equal ones give almost the same.
    """
    trace = np.trace(gram, axis1=-2, axis2=-1)[..., None, None]
    ridge = np.where(trace > 0, trace / max(n_dimensions, 1), 1.0)
    identity = np.eye(gram.shape[-1])
    solved = np.linalg.solve(gram + ridge * identity, gram)
    # Symmetric but for rounding.
    found: Floats = np.asarray((solved + np.swapaxes(solved, -1, -2)) / 2, dtype=np.float64)
    return found
