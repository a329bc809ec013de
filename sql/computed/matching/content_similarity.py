"""Inner products of what heads attend to beyond position and role of the tokens: `content`.

From the square roots of the weights each class of cells (`head_products`) loses its mean. What is
left has the inner products K = sum G - S diag(1/n) S^T; no vector is ever formed. The similarity
`content` is the cosine after `whitening` of K.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sql.computed.matching.gram import NEGLIGIBLE
from sql.computed.matching.head_products import HeadProducts

Floats = NDArray[np.float64]

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
