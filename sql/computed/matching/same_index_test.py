"""Whether two models of one shape have alike heads at the same index.

Chance: in each layer the heads of model b are renamed by any permutation, all equally likely. The
statistic is the sum over heads i of atanh cos(a_i, b_i). The test is exact where all permutations
are enumerated, and exact in level where they are drawn, as the observed one counts as a draw.

Heads at the same index are alike where models start from the same weights; training does not give
heads their place, so that across starts there is nothing to find, however alike the models are.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sql.computed.matching.gram import fisher

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Up to this many permutations are enumerated; 8 heads of one layer have 40,320.
_MOST_ENUMERATED = 50_000
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class SameIndexTest:
    """The test of two models, and of each layer.

    p values are NaN where all similarities are undefined.

    Attributes:
        statistic: sum over heads of atanh cos(a_i, b_i).
        p_value: share of the permutations of all layers with at least this statistic.
        layers: `[layer]`, their numbers.
        n_heads: `[layer]`.
        n_same_index: `[layer]`, heads of a whose most alike head of the layer in b has their index.
        layer_p_value: `[layer]`, the same share for the permutations of one layer.
        layer_p_family: `[layer]`, corrected for the number of layers (Holm 1979).
    """

    statistic: float
    p_value: float
    layers: Integers
    n_heads: Integers
    n_same_index: Integers
    layer_p_value: Floats
    layer_p_family: Floats


def same_index_test(
    cosines: Floats,
    layers_a: Integers,
    layers_b: Integers,
    generator: np.random.Generator,
    n_draws: int = 19_999,
) -> SameIndexTest:
    """Tests the diagonal of `[head of a, head of b]`, heads in the order of layer and head.

    n_draws: permutations drawn where there are too many to enumerate. A cosine that is NaN counts
    as 0.

    Raises: ValueError where the models have not the same layers and heads.
    """
    if not np.array_equal(layers_a, layers_b):
        raise ValueError("only models of one shape have heads of the same index")
    values = np.where(np.isnan(cosines), 0.0, fisher(cosines))
    layers = np.unique(layers_a)
    chosen = [layers_a == layer for layer in layers]
    parts = [values[np.ix_(heads, heads)] for heads in chosen]
    undefined = np.array([bool(np.isnan(cosines[np.ix_(heads, heads)]).all()) for heads in chosen])
    n_permutations = [math.factorial(len(part)) for part in parts]
    drawn = [_drawn_sums(part, n_draws, generator) for part in parts]  # [layer][1 + draw]
    sums = [
        _enumerated_sums(part) if n <= _MOST_ENUMERATED else of_draws
        for part, n, of_draws in zip(parts, n_permutations, drawn, strict=True)
    ]
    totals = np.sum(drawn, axis=0)
    if math.prod(n_permutations) <= _MOST_ENUMERATED:
        totals = np.zeros(1)
        for of_layer in sums:
            totals = (totals[:, None] + of_layer).ravel()
    layer_p_value = np.array([_share(of_layer) for of_layer in sums])
    layer_p_value[undefined] = np.nan
    return SameIndexTest(
        statistic=np.nan if undefined.all() else float(totals[0]),
        p_value=np.nan if undefined.all() else _share(totals),
        layers=layers,
        n_heads=np.array([len(part) for part in parts]),
        n_same_index=np.array(
            [(part.round(9).argmax(axis=1) == np.arange(len(part))).sum() for part in parts]
        )
        * ~undefined,
        layer_p_value=layer_p_value,
        layer_p_family=_holm(layer_p_value),
    )


def _enumerated_sums(values: Floats) -> Floats:
    """Sum over i of `[i, permuted i]` for every permutation `[permutation]`, the identity first."""
    heads = np.arange(len(values))
    permutations = np.array(list(itertools.permutations(heads)))
    sums: Floats = values[heads, permutations].sum(axis=1)
    return sums


def _drawn_sums(values: Floats, n_draws: int, generator: np.random.Generator) -> Floats:
    """The same for random permutations, `[1 + draw]`, the identity first."""
    heads = np.arange(len(values))
    permutations = generator.permuted(np.tile(heads, (n_draws, 1)), axis=1)
    sums: Floats = values[heads, np.concatenate([heads[None], permutations])].sum(axis=1)
    return sums


def _share(sums: Floats) -> float:
    """Share of the sums that are as high as the first."""
    return float((sums >= sums[0] - _TOLERANCE).mean())


def _holm(p_value: Floats) -> Floats:
    """Holm's step-down Bonferroni correction (1979) of `[layer]`; NaN stays and is not counted.

    >>> _holm(np.array([0.01, np.nan, 0.5, 0.02])).tolist()
    [0.03, nan, 0.5, 0.04]
    """
    order = np.argsort(p_value, kind="stable")[: int((~np.isnan(p_value)).sum())]
    raised = p_value[order] * np.arange(len(order), 0, -1)
    adjusted = np.full(len(p_value), np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(raised), 1.0)
    return adjusted
