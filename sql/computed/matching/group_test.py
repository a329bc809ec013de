"""Whether models of one group are more alike than models of different groups.

Entries are similarities of pairs of models; a model's group is its label. The statistic is the mean
of the groups' mean similarity within, less the mean over pairs of groups of the mean similarity
between: for two groups S and A, T = (SS + AA) / 2 - SA. Chance: the labels are dealt to the models
in any other way, all equally likely (a permutation test of Mantel's kind; Mantel 1967, Cancer
Research 27). All labelings are enumerated, so that p is exact.

It is exact where the models of all groups are alike but for what the groups say, each from a start
of its own: models that share a start across groups are alike for that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_TOLERANCE = 1e-9
# More labelings than these (13 + 13 models) would take minutes.
_MOST_LABELINGS = 20_000_000
_LABELINGS_AT_A_TIME = 1 << 14


@dataclass(frozen=True)
class GroupTest:
    """The test of one grouping of models.

    Attributes:
        within: `[group]`, mean similarity of the pairs within each group.
        between: `[group, group]`, mean similarity of pairs between two groups; NaN on the diagonal.
        statistic: mean of `within` less mean of `between`.
        p_value: share of the labelings, the observed one among them, with at least this statistic.
        n_labelings: how many there are.
        smallest_p_value: what p_value would be if no other labeling came as high. Two groups of one
            size may exchange their names without a change, so that it is 2 / n_labelings there.
    """

    within: Floats
    between: Floats
    statistic: float
    p_value: float
    n_labelings: int
    smallest_p_value: float


def group_test(similarities: Floats, groups: Sequence[int]) -> GroupTest:
    """Tests a grouping by all labelings with groups of the same sizes.

    similarities: `[model, model]`, symmetric; the diagonal is not read. groups: the group of each
    model, numbered from 0.

    Raises: ValueError where there are not two groups of two models at least, a similarity is not a
    number, or there are too many labelings to enumerate.
    """
    labels = np.asarray(groups)
    sizes = np.bincount(labels)
    if len(sizes) < 2 or sizes.min() < 2:
        raise ValueError("needs two groups or more, each of two models or more")
    entries = np.where(np.eye(len(labels), dtype=bool), 0.0, similarities)
    if not np.isfinite(entries).all():
        raise ValueError("a similarity of two models is undefined")
    n_labelings = math.factorial(len(labels)) // math.prod(
        math.factorial(size) for size in sizes.tolist()
    )
    if n_labelings > _MOST_LABELINGS:
        raise ValueError(f"{n_labelings} labelings are too many to enumerate")
    means = _group_means(entries, labels[None], sizes)[0]
    observed = float(_statistic(means[None])[0])
    n_as_high = sum(
        int((_statistic(_group_means(entries, chunk, sizes)) >= observed - _TOLERANCE).sum())
        for chunk in _chunks(_labelings(tuple(range(len(labels))), sizes.tolist()), len(labels))
    )
    n_equal = math.prod(math.factorial(int(count)) for count in np.bincount(sizes))
    between = means.copy()
    np.fill_diagonal(between, np.nan)
    return GroupTest(
        within=means.diagonal().copy(),
        between=between,
        statistic=observed,
        p_value=n_as_high / n_labelings,
        n_labelings=n_labelings,
        smallest_p_value=n_equal / n_labelings,
    )


def _statistic(means: Floats) -> Floats:
    """T of each labeling, from `[labeling, group, group]`."""
    first, second = np.triu_indices(means.shape[1], 1)
    within = np.diagonal(means, axis1=1, axis2=2).mean(axis=1)
    found: Floats = within - means[:, first, second].mean(axis=1)
    return found


def _group_means(entries: Floats, labels: Integers, sizes: Integers) -> Floats:
    """Mean similarity within and between groups, `[labeling, group, group]`."""
    members = (labels[:, None, :] == np.arange(len(sizes))[:, None]).astype(np.float64)
    sums = members @ entries @ members.transpose(0, 2, 1)
    means: Floats = sums / (np.outer(sizes, sizes) - np.diag(sizes))
    return means


def _labelings(models: tuple[int, ...], sizes: Sequence[int]) -> Iterator[dict[int, int]]:
    """Every way to deal models to groups of the given sizes, as the group of each model."""
    if not sizes:
        yield {}
        return
    group = len(sizes) - 1
    for members in combinations(models, sizes[-1]):
        others = tuple(model for model in models if model not in members)
        for rest in _labelings(others, sizes[:-1]):
            yield rest | dict.fromkeys(members, group)


def _chunks(labelings: Iterator[dict[int, int]], n_models: int) -> Iterator[Integers]:
    """Labelings as arrays `[labeling, model]`, a bounded number at a time."""
    chunk = []
    for labeling in labelings:
        chunk.append([labeling[model] for model in range(n_models)])
        if len(chunk) == _LABELINGS_AT_A_TIME:
            yield np.array(chunk)
            chunk = []
    if chunk:
        yield np.array(chunk)
