"""The exact test of the same index, against enumerated permutations."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from sql.computed.matching.same_index_test import same_index_test

SMALL = np.array([0, 0, 0, 1, 1, 1])
LARGE = np.repeat(np.arange(3), 8)


def cosines_of(n_heads: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.9, 0.9, (n_heads, n_heads))


@pytest.mark.parametrize("seed", range(5))
def test_small_models_are_enumerated(seed):
    cosines = cosines_of(6, seed)
    found = same_index_test(cosines, SMALL, SMALL, np.random.default_rng(0))
    sums = []
    for first in itertools.permutations(range(3)):
        for second in itertools.permutations(range(3, 6)):
            names = [*first, *second]
            sums.append(sum(math.atanh(cosines[i, names[i]]) for i in range(6)))
    assert found.statistic == pytest.approx(sums[0], abs=1e-9)
    assert found.p_value == sum(value >= sums[0] - 1e-9 for value in sums) / 36
    for layer in range(2):
        heads = range(3 * layer, 3 * layer + 3)
        sums = [
            sum(math.atanh(cosines[i, j]) for i, j in zip(heads, order, strict=True))
            for order in itertools.permutations(heads)
        ]
        p_value = sum(value >= sums[0] - 1e-9 for value in sums) / 6
        assert found.layer_p_value[layer] == pytest.approx(p_value, abs=1e-12)
        same = sum(max(heads, key=lambda j: cosines[i, j]) == i for i in heads)
        assert found.n_same_index[layer] == same


def test_drawn_permutations_come_close_to_enumerated_ones():
    layers = np.zeros(8, int)
    cosines = cosines_of(8, 6)
    exact = same_index_test(cosines, layers, layers, np.random.default_rng(0)).p_value
    # A second layer whose heads are all alike changes nothing but makes them too many.
    both = np.full((16, 16), 0.5)
    both[:8, :8] = cosines
    drawn = same_index_test(both, LARGE[:16], LARGE[:16], np.random.default_rng(0), 50_000).p_value
    assert drawn == pytest.approx(exact, abs=0.01)


def test_shared_start_in_one_layer_is_found():
    cosines = cosines_of(24, 7)
    cosines[np.arange(8), np.arange(8)] = 0.95
    found = same_index_test(cosines, LARGE, LARGE, np.random.default_rng(0), 9_999)
    assert found.n_same_index[0] == 8
    assert found.layer_p_value[0] == 1 / math.factorial(8)
    assert found.layer_p_family[0] == 3 / math.factorial(8)
    assert found.p_value <= 0.01


def test_no_p_value_is_0_or_lower_than_its_draws_allow():
    cosines = np.full((24, 24), -0.9)
    np.fill_diagonal(cosines, 0.9)
    found = same_index_test(cosines, LARGE, LARGE, np.random.default_rng(0), 999)
    assert found.p_value == 1 / 1000


def test_level_is_kept():
    p_values = [
        same_index_test(cosines_of(6, 100 + n), SMALL, SMALL, np.random.default_rng(n)).p_value
        for n in range(1000)
    ]
    # 1 of 36 permutations: 2.8 % of the pairs in the long run.
    assert np.mean(np.array(p_values) <= 1 / 36) == pytest.approx(1 / 36, abs=0.016)


def test_layers_of_one_head_give_p_1():
    found = same_index_test(cosines_of(3, 8), np.arange(3), np.arange(3), np.random.default_rng(0))
    assert found.p_value == 1
    assert (found.layer_p_value == 1).all()


def test_undefined_similarities_have_no_p_value():
    cosines = np.full((6, 6), np.nan)
    found = same_index_test(cosines, SMALL, SMALL, np.random.default_rng(0))
    assert math.isnan(found.p_value)
    assert math.isnan(found.statistic)
    assert np.isnan(found.layer_p_value).all()
    assert (found.n_same_index == 0).all()
    cosines[3:, 3:] = cosines_of(3, 9)
    found = same_index_test(cosines, SMALL, SMALL, np.random.default_rng(0))
    assert np.isnan(found.layer_p_value).tolist() == [True, False]
    assert not math.isnan(found.p_value)


def test_models_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        same_index_test(cosines_of(6, 0), SMALL, np.zeros(6, int), np.random.default_rng(0))
