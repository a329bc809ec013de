"""Inner products of the heads of two models, the one input of every test of matches.

A similarity gives each head a vector. Cosines, and cosines after the heads of a layer are rotated
among themselves, follow from the inner products of these vectors (their Gram matrix) alone, which
are few however long the vectors are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# A squared length below this share of what it was computed from is rounding, and taken as 0: the
# weights are stored in single precision, whose square is 4e-15.
NEGLIGIBLE = 1e-12


@dataclass(frozen=True)
class PairGram:
    """Inner products between and within the heads of a model a and a model b.

    Leading axes (draws) are allowed and the same in all three matrices. A head whose vector is
    0 has only zeros: its similarities are undefined.

    Attributes:
        a: `[..., head of a, head of a]`, float64.
        cross: `[..., head of a, head of b]`, float64.
        b: `[..., head of b, head of b]`, float64.
        layers_a: `[head of a]`, the layer of each head.
        layers_b: `[head of b]`.
    """

    a: Floats
    cross: Floats
    b: Floats
    layers_a: Integers
    layers_b: Integers

    def reversed(self) -> PairGram:
        """The same pair, b searched for the heads of a turned into a searched for those of b."""
        cross = np.swapaxes(self.cross, -1, -2)
        return PairGram(self.b, cross, self.a, self.layers_b, self.layers_a)

    def cosines(self) -> Floats:
        """`[..., head of a, head of b]`, NaN where a vector is 0."""
        return _divided(self.cross, lengths(self.a)[..., :, None] * lengths(self.b)[..., None, :])


def lengths(gram: Floats) -> Floats:
    """The length of each vector, `[..., head]`, from the diagonal of `[..., head, head]`."""
    diagonal = np.diagonal(gram, axis1=-2, axis2=-1)
    found: Floats = np.sqrt(np.maximum(diagonal, 0.0))
    return found


def vector_gram(
    vectors_a: Floats, vectors_b: Floats, layers_a: Integers, layers_b: Integers
) -> PairGram:
    """The products of vectors `[..., head, entry]`, profiles for instance.

    Where no token is structural, profiles are 0, and so are all their products.

    >>> layers = np.zeros(2, dtype=int)
    >>> pair = vector_gram(np.eye(2), np.array([[0.0, 2.0], [0.0, 0.0]]), layers, layers)
    >>> pair.cosines().tolist()
    [[0.0, nan], [1.0, nan]]
    """
    return PairGram(
        vectors_a @ np.swapaxes(vectors_a, -1, -2),
        vectors_a @ np.swapaxes(vectors_b, -1, -2),
        vectors_b @ np.swapaxes(vectors_b, -1, -2),
        layers_a,
        layers_b,
    )


def fisher(cosines: Floats) -> Floats:
    """Fisher's transform atanh; 1 and -1, which have none, count as 1e-12 less far out."""
    limit = 1 - 1e-12
    transformed: Floats = np.arctanh(np.clip(cosines, -limit, limit))
    return transformed


def _divided(products: Floats, by: Floats) -> Floats:
    quotient: Floats = np.divide(products, by, out=np.full(products.shape, np.nan), where=by > 0)
    return quotient
