"""Whether a head's best match in another model is more alike than chance makes it.

Chance: in each layer of model b the heads are multiplied by a random rotation *of the heads* that
leaves their mean where it is. Where the heads of a layer are independent draws from one normal
distribution, of any covariance, what is observed and what is rotated have the same distribution
(Langsrud 2005, Rotation tests, Statistics and Computing 15): each layer's mean, covariance and
number of heads stay, who is who goes. A similarity enters by its inner products only (`gram`), so
that all similarities are tested in one way.

The statistic of head i is s_i = max over j of atanh cos(a_i, b_j). z is s less its mean, over its
standard deviation, both over the draws and the observed value together, all of which are alike
under chance. `p_family` is Westfall and Young's (1993) step-down max T over the heads of a.

Heads of trained models are not normal: in a model with a few heads unlike the rest, heads of any
other find more alike ones than in its rotations. Therefore a match counts for as much as the weaker
of its two directions: head i among the heads of a, searched in b, and its match j among the heads
of b, searched in a (an intersection-union test; Berger 1982, Technometrics 24).
docs/explanation/statistics.md has the errors of either.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sql.computed.matching.gram import NEGLIGIBLE, PairGram, fisher, lengths

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Below this, differences of cosines and of z are rounding.
_TOLERANCE = 1e-9
_HIGH_SHARE = 0.95


@dataclass(frozen=True)
class MatchTest:
    """The best match of each head of a among those of b, `[head of a]` each.

    NaN (and -1 for `match`) where the similarity is undefined: the head's vector is 0, or those of
    all heads of b are.

    Attributes:
        match: the most alike head of b, the lower of two equally alike.
        cosine: its cosine.
        null_mean: the mean best cosine under chance.
        null_high: 5 % of the best cosines under chance are higher.
        z: how far atanh of the cosine stands above chance, in standard deviations; NaN where
            chance does not vary.
        p_value: share of the draws, the observed one among them, that are as high.
        p_family: the same, corrected for the number of heads; never below p_value.
        q_value: Benjamini and Hochberg's (1995) false discovery rate over the heads.
    """

    match: Integers
    cosine: Floats
    null_mean: Floats
    null_high: Floats
    z: Floats
    p_value: Floats
    p_family: Floats
    q_value: Floats


def two_way_match_tests(
    pair: PairGram, n_draws: int, generator: np.random.Generator
) -> tuple[MatchTest, MatchTest]:
    """Tests the best matches of the heads of a in b, and of the heads of b in a.

    `p_value` and `p_family` of a head are the larger of its own and its match's in the other
    direction; `q_value` follows from `p_value`. The rest is as in `match_test`.
    """
    forth = match_test(pair, n_draws, generator)
    back = match_test(pair.reversed(), n_draws, generator)
    return _weaker_of(forth, back), _weaker_of(back, forth)


def _weaker_of(own: MatchTest, other: MatchTest) -> MatchTest:
    # Where there is no match, -1 picks some head, but the own p value is NaN and stays so.
    p_value = np.maximum(own.p_value, other.p_value[own.match])
    is_defined = ~np.isnan(p_value)
    q_value = np.full(len(p_value), np.nan)
    q_value[is_defined] = false_discovery_rates(p_value[is_defined])
    p_family = np.maximum(own.p_family, other.p_family[own.match])
    return replace(own, p_value=p_value, p_family=p_family, q_value=q_value)


def match_test(pair: PairGram, n_draws: int, generator: np.random.Generator) -> MatchTest:
    """Tests the best match of each head of a in one direction.

    n_draws: at least 999, so that p values reach 0.001.

    A p value needs chance to vary: it is 1 where every draw gives the observed cosine, as where
    each layer of b has one head, which no rotation mixes.
    """
    match, cosine = best_matches(pair.cosines())
    draws = rotation_draws(pair, n_draws, generator)  # [draw, head of a]
    is_defined = ~np.isnan(cosine)
    null_mean = np.full(len(cosine), np.nan)
    null_high, z, p_value, p_family, q_value = (null_mean.copy() for _ in range(5))
    if is_defined.any():
        draws = draws[:, is_defined]
        null_mean[is_defined] = draws.mean(axis=0)
        rank = int(np.ceil(_HIGH_SHARE * n_draws)) - 1
        null_high[is_defined] = np.partition(draws, rank, axis=0)[rank]
        scores = z_scores(np.concatenate([cosine[None, is_defined], draws]))
        z[is_defined] = np.where(np.isneginf(scores[0]), np.nan, scores[0])
        p_value[is_defined] = p_values(scores)
        p_family[is_defined] = step_down_p_values(scores)
        q_value[is_defined] = false_discovery_rates(p_value[is_defined])
    return MatchTest(match, cosine, null_mean, null_high, z, p_value, p_family, q_value)


def best_matches(cosines: Floats) -> tuple[Integers, Floats]:
    """The column and the value of each row's largest cosine; -1 and NaN where all are NaN.

    Rounded, so that equally alike heads give the first of them on every machine.

    >>> match, cosine = best_matches(np.array([[0.1, 0.7, 0.7], [np.nan, np.nan, np.nan]]))
    >>> match.tolist(), cosine.tolist()
    ([1, -1], [0.7, nan])
    """
    known = np.where(np.isnan(cosines), -np.inf, cosines)
    match = known.round(9).argmax(axis=1)
    cosine = cosines[np.arange(len(cosines)), match]
    return np.where(np.isnan(cosine), -1, match), cosine


def rotation_draws(pair: PairGram, n_draws: int, generator: np.random.Generator) -> Floats:
    """Best cosines under chance, `[draw, head of a]`; -inf where there are none."""
    best = np.full((n_draws, len(pair.a)), -np.inf)
    lengths_a = lengths(pair.a)
    cross = np.divide(
        pair.cross, lengths_a[:, None], out=np.zeros_like(pair.cross), where=lengths_a[:, None] > 0
    )
    for layer in np.unique(pair.layers_b):
        heads = np.flatnonzero(pair.layers_b == layer)
        gram = pair.b[np.ix_(heads, heads)]
        shortest = NEGLIGIBLE * gram.diagonal().max()
        rotations = head_rotations(len(heads), n_draws, generator)  # [draw, rotated head, head]
        squares = ((rotations @ gram) * rotations).sum(axis=-1)  # [draw, rotated head]
        is_there = squares > shortest
        scaled = rotations / np.sqrt(np.where(is_there, squares, 1.0))[..., None]
        for rotated in range(len(heads)):
            cosines = scaled[:, rotated] @ cross[:, heads].T  # [draw, head of a]
            cosines[~is_there[:, rotated]] = -np.inf
            np.maximum(best, cosines, out=best)
    return best


def head_rotations(n_heads: int, n_draws: int, generator: np.random.Generator) -> Floats:
    """Random rotations and reflections of heads that leave their mean, `[draw, head, head]`.

    Uniform on the orthogonal matrices that map the vector of ones to itself; one head stays.
    """
    first = np.eye(n_heads)
    first[:, 0] = 1.0
    basis = np.linalg.qr(first)[0][:, 1:]  # [head, head - 1], all that sums to 0
    normal = generator.standard_normal((n_draws, n_heads - 1, n_heads - 1))
    orthogonal, triangle = np.linalg.qr(normal)
    # The sign makes them uniform (Mezzadri 2007, arXiv math-ph/0609050).
    signs = np.sign(np.diagonal(triangle, axis1=1, axis2=2))
    rotations: Floats = 1 / n_heads + basis @ (orthogonal * signs[:, None, :]) @ basis.T
    return rotations


def z_scores(cosines: Floats) -> Floats:
    """Standardised Fisher transforms `[draw, head]`; row 0 is the observed one.

    -inf throughout a column whose cosines are all the same, which therefore counts for nothing.
    """
    values = fisher(cosines)
    deviation = values.std(axis=0)
    varies = np.ptp(cosines, axis=0) > _TOLERANCE
    centred = values - values.mean(axis=0)
    scores: Floats = np.divide(
        centred, deviation, out=np.full(values.shape, -np.inf), where=varies & (deviation > 0)
    )
    return scores


def p_values(scores: Floats) -> Floats:
    """Share of the rows of `[draw, head]` as high as row 0, itself included.

    (1 + draws as high) / (1 + draws): Phipson and Smyth (2010, arXiv 1603.05766).
    """
    shares: Floats = (scores >= scores[0] - _TOLERANCE).mean(axis=0)
    return shares


def step_down_p_values(scores: Floats) -> Floats:
    """Family-wise p values of the heads of `[draw, head]`, row 0 observed.

    Step-down max T: the heads are ordered from the highest score on; each is compared with the
    highest score, draw by draw, of those that come no earlier, and none gets a lower p value than
    the one before it. Westfall and Young (1993), Resampling-based multiple testing, algorithm 2.8.
    """
    order = np.argsort(-scores[0], kind="stable")
    ordered = scores[:, order]
    highest = np.maximum.accumulate(ordered[:, ::-1], axis=1)[:, ::-1]
    shares = (highest >= ordered[0] - _TOLERANCE).mean(axis=0)
    found = np.empty(len(order))
    found[order] = np.maximum.accumulate(shares)
    return found


def false_discovery_rates(p_value: Floats) -> Floats:
    """Benjamini and Hochberg's adjusted p values, `[head]`.

    >>> false_discovery_rates(np.array([0.01, 0.04, 0.03, 0.5])).round(4).tolist()
    [0.04, 0.0533, 0.0533, 0.5]
    """
    order = np.argsort(p_value, kind="stable")
    raised = p_value[order] * len(p_value) / np.arange(1, len(p_value) + 1)
    adjusted = np.empty(len(p_value))
    adjusted[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1.0)
    # p n / n may differ from p in the last bit.
    return np.maximum(adjusted, p_value)
