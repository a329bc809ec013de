"""The test of groups of models, against all labelings by brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from sql.computed.matching.group_test import group_test
from tests.sql.computed.oracle import mean_best_match


def similarities_of(n_models: int, seed: int) -> np.ndarray:
    entries = np.random.default_rng(seed).normal(1.0, 0.2, (n_models, n_models))
    return (entries + entries.T) / 2


def statistic_of(similarities, groups) -> float:
    """T by loops over pairs."""
    within, between = [], []
    names = sorted(set(groups))
    models = range(len(groups))
    for name in names:
        members = [model for model in models if groups[model] == name]
        pairs = list(itertools.combinations(members, 2))
        within.append(sum(similarities[i][j] for i, j in pairs) / len(pairs))
    for one, other in itertools.combinations(names, 2):
        pairs = [(i, j) for i in models for j in models if (groups[i], groups[j]) == (one, other)]
        between.append(sum(similarities[i][j] for i, j in pairs) / len(pairs))
    return float(sum(within) / len(within) - sum(between) / len(between))


@pytest.mark.parametrize(
    "groups",
    [
        (0, 0, 1, 1),
        (0, 1, 0, 1, 0, 1),
        (1, 0, 0, 0, 1),
        (0,) * 4 + (1,) * 4,
        (0, 0, 1, 1, 2, 2),
    ],
    ids=str,
)
@pytest.mark.parametrize("seed", range(3))
def test_p_value_equals_brute_force_over_all_labelings(groups, seed):
    similarities = similarities_of(len(groups), seed)
    found = group_test(similarities, groups)
    labelings = set(itertools.permutations(groups))
    observed = statistic_of(similarities, groups)
    values = [statistic_of(similarities, labeling) for labeling in labelings]
    assert found.statistic == pytest.approx(observed, abs=1e-12)
    assert found.n_labelings == len(labelings)
    assert found.p_value == sum(value >= observed - 1e-9 for value in values) / len(labelings)


@pytest.mark.parametrize(
    ("size", "smallest"), [(3, 0.1), (4, 2 / 70), (5, 2 / 252)], ids=["3+3", "4+4", "5+5"]
)
def test_groups_apart_reach_the_smallest_p_value(size, smallest):
    groups = [0] * size + [1] * size
    similarities = similarities_of(2 * size, 1)
    similarities += 5 * np.equal.outer(groups, groups)
    found = group_test(similarities, groups)
    assert found.p_value == pytest.approx(smallest)
    assert found.smallest_p_value == pytest.approx(smallest)


def test_groups_of_different_sizes_may_not_exchange_names():
    groups = [0, 0, 0, 1, 1]
    similarities = similarities_of(5, 2) + 5 * np.equal.outer(groups, groups)
    assert group_test(similarities, groups).p_value == 1 / 10
    assert group_test(similarities, groups).smallest_p_value == 1 / 10


def test_means_are_those_of_pairs():
    groups = [0, 0, 0, 1, 1]
    similarities = similarities_of(5, 3)
    found = group_test(similarities, groups)
    upper = [similarities[0, 1], similarities[0, 2], similarities[1, 2]]
    np.testing.assert_allclose(found.within, [np.mean(upper), similarities[3, 4]], atol=1e-12)
    assert found.between[0, 1] == pytest.approx(similarities[:3, 3:].mean(), abs=1e-12)
    assert np.isnan(found.between.diagonal()).all()


def test_equal_similarities_give_p_1():
    assert group_test(np.ones((6, 6)), [0, 0, 0, 1, 1, 1]).p_value == 1


def test_what_cannot_be_tested_is_refused():
    with pytest.raises(ValueError, match="two groups or more"):
        group_test(np.ones((3, 3)), [0, 0, 0])
    with pytest.raises(ValueError, match="two models or more"):
        group_test(np.ones((3, 3)), [0, 0, 1])
    with pytest.raises(ValueError, match="undefined"):
        group_test(np.full((4, 4), np.nan), [0, 0, 1, 1])
    with pytest.raises(ValueError, match="too many"):
        group_test(np.ones((40, 40)), [0] * 20 + [1] * 20)


def test_mean_best_match_counts_both_directions():
    cosines = np.array([[0.5, 0.1, np.nan], [0.2, 0.3, np.nan]])
    expected = (2 * math.atanh(0.5) + 2 * math.atanh(0.3)) / 4
    assert mean_best_match(cosines) == pytest.approx(expected, abs=1e-12)
    assert math.isnan(mean_best_match(np.full((2, 2), np.nan)))
