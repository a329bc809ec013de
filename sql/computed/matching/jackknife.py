"""Intervals of similarities over prompts: each block of prompts is left out once.

The similarity is computed again without each of the B blocks. On the scale of Fisher's transform
the standard error is sqrt((B - 1) / B sum (z_(b) - mean z)^2) (Efron and Tibshirani 1993, An
introduction to the bootstrap, chapter 11, with blocks in place of observations). B similarities are
as cheap as B columns of weights, where a bootstrap needs a thousand; and as nothing is drawn twice,
vectors are not noisier than in the whole, so that the interval lies around the similarity.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sql.computed.matching.gram import fisher

Floats = NDArray[np.float64]


def leave_one_out(n_blocks: int) -> Floats:
    """The weights `[draw, block]` that leave each block out once.

    >>> leave_one_out(3).tolist()
    [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    """
    weights: Floats = 1.0 - np.eye(n_blocks)
    return weights


def cosine_interval(
    cosines: Floats, left_out: Floats, level: float = 0.95
) -> tuple[Floats, Floats]:
    """Low and high end `[...]` of cosines `[...]`, from those without each block `[block, ...]`.

    On the scale of Fisher's transform; NaN of fewer than two blocks, or of a NaN.
    """
    low, high = interval(fisher(cosines), fisher(left_out), level)
    return np.tanh(low), np.tanh(high)


def interval(values: Floats, left_out: Floats, level: float = 0.95) -> tuple[Floats, Floats]:
    """Low and high end `[...]` of values `[...]`, from those without each block `[block, ...]`.

    Student's t with B - 1 degrees of freedom. NaN of fewer than two blocks, or of a NaN.
    """
    from scipy.special import stdtrit  # of scipy.stats, which takes half a second to import, t.ppf

    reach = jackknife_error(left_out) * stdtrit(max(len(left_out) - 1, 1), (1 + level) / 2)
    return values - reach, values + reach


def jackknife_error(left_out: Floats) -> Floats:
    """Standard errors `[...]` of values without each block `[block, ...]`; NaN of fewer than 2."""
    n_blocks = len(left_out)
    if n_blocks < 2:
        return np.full(left_out.shape[1:], np.nan)
    squares = ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0)
    error: Floats = np.sqrt(squares * (n_blocks - 1) / n_blocks)
    return error
