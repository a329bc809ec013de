"""What sets a head apart from its layer, along directions that heads do not all vary along.

1. From each head its layer's mean is taken, in both models: heads of a layer share much.
2. Directions that all heads vary along say little about one. With the heads' vectors x as rows of
   A and B, and C = A^T A / n_A + B^T B / n_B, each x becomes x (C + mu I)^(-1/2): ridge
   whitening, where mu is the mean eigenvalue of C over the dimensions that are left.

Only inner products are needed. With Z the rows of A / sqrt(n_A) over those of B / sqrt(n_B), and
W = Z Z^T, the inner products after step 2 are Z (Z^T Z + mu I)^(-1) Z^T = W (W + mu I)^(-1).

Of about 80 variants of similarities this treatment was chosen by its errors
(docs/explanation/statistics.md): raw cosines call too many heads wherever the model that is
searched has a few heads unlike the rest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sql.computed.matching.gram import NEGLIGIBLE, PairGram

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def whitened_gram(
    products: Floats,
    heads_a: Integers,
    heads_b: Integers,
    layers: Integers,
    vector_length: int | None = None,
) -> PairGram:
    """Two models' inner products after both steps.

    products: inner products before them, `[..., head, head]`. heads_a, heads_b: the places of
    either model's heads there. layers: `[head]`, the layer of every head. vector_length: entries
    of a head's vector, needed where they may be fewer than the heads, as the bins of profiles.

    A head that does not differ from its layer's mean, as where a layer has one head, is undefined.

    Raises: ValueError where the heads of a layer do not stand side by side.
    """
    heads = np.concatenate([heads_a, heads_b])
    # No layer of a is one of b.
    layer = np.concatenate([layers[heads_a] * 2, layers[heads_b] * 2 + 1])
    n_a, n_b = len(heads_a), len(heads_b)
    starts = np.flatnonzero(np.diff(layer, prepend=-1))
    if len(starts) != len(np.unique(layer)):
        raise ValueError("the heads do not stand layer by layer")
    scale = np.repeat([n_a**-0.5, n_b**-0.5], [n_a, n_b])
    n_dimensions = n_a + n_b - len(starts)
    if vector_length is not None:
        n_dimensions = min(n_dimensions, vector_length)
    # Matrix by matrix: one fits into the processor's cache, all together do not.
    flat = products.reshape(-1, *products.shape[-2:])
    whitened = np.empty((len(flat), len(heads), len(heads)))
    for number, own in enumerate(flat):
        centred = _layer_centred(own[np.ix_(heads, heads)], starts)
        centred *= scale[:, None] * scale
        trace = float(np.trace(centred))
        ridge = trace / max(n_dimensions, 1) if trace > 0 else 1.0
        whitened[number] = _ridge_whitened(centred, ridge)
    whitened = whitened.reshape(*products.shape[:-2], len(heads), len(heads))
    return PairGram(
        whitened[..., :n_a, :n_a],
        whitened[..., :n_a, n_a:],
        whitened[..., n_a:, n_a:],
        layers[heads_a],
        layers[heads_b],
    )


def _layer_centred(products: Floats, starts: Integers) -> Floats:
    """Products less each layer's mean, `[head, head]`; starts: the first head of each layer.

    Without matrix products, whose threads would wait for those of the factorisation that follows.
    """
    sizes = np.diff(starts, append=len(products))
    means = np.add.reduceat(products, starts, axis=1) / sizes
    half = products - np.repeat(means, sizes, axis=1)
    means = np.add.reduceat(half, starts, axis=0) / sizes[:, None]
    centred: Floats = half - np.repeat(means, sizes, axis=0)
    squares = np.add.reduceat(products.diagonal(), starts) / sizes
    is_empty = centred.diagonal() <= NEGLIGIBLE * np.repeat(squares, sizes)
    centred[is_empty] = 0.0
    centred[:, is_empty] = 0.0
    return centred


def _ridge_whitened(gram: Floats, ridge: float) -> Floats:
    """W (W + mu I)^(-1) = I - mu (W + mu I)^(-1), by Cholesky: a third of a solver's work.

    mu is a mean over dimensions, not over the eigenvalues above 0, so that two equal heads and two
    almost equal ones give almost the same.
    """
    from scipy.linalg import lapack

    shifted = gram.copy()
    shifted.flat[:: len(gram) + 1] += ridge
    # W is positive semi-definite but for rounding, which the ridge outweighs.
    factor, failed = lapack.dpotrf(shifted, lower=1, overwrite_a=1)
    assert not failed
    lower, failed = lapack.dpotri(factor, lower=1, overwrite_c=1)
    assert not failed
    # What LAPACK leaves above the diagonal is no part of it.
    found: Floats = np.tril(lower, -1)
    found += found.T
    found *= -ridge
    found.flat[:: len(gram) + 1] = 1.0 - ridge * lower.diagonal()
    is_empty = gram.diagonal() == 0
    found[is_empty] = 0.0
    found[:, is_empty] = 0.0
    return found
