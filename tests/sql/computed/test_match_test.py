"""The test of matches: planted heads found, nothing from zero variance, step-down p values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sql.computed.matching.gram import PairGram, vector_gram
from sql.computed.matching.match_test import (
    false_discovery_rates,
    head_rotations,
    match_test,
    p_values,
    rotation_draws,
    step_down_p_values,
    two_way_match_tests,
    z_scores,
)

LAYERS_A = np.repeat(np.arange(3), 4)
LAYERS_B = np.repeat(np.arange(2), 5)
N_DRAWS = 999


def pair_of(seed: int, mean: float = 0.0) -> PairGram:
    """Two models of unrelated heads; a mean that all share makes cosines high, as in profiles."""
    generator = np.random.default_rng(seed)
    a, b = generator.normal(mean, 1.0, (12, 20)), generator.normal(mean, 1.0, (10, 20))
    return vector_gram(a, b, LAYERS_A, LAYERS_B)


def generator_of(seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, 99])


def test_rotations_are_orthogonal_and_keep_the_mean():
    rotations = head_rotations(5, 50, generator_of(0))
    squares = rotations @ rotations.transpose(0, 2, 1)
    np.testing.assert_allclose(squares, [np.eye(5)] * 50, atol=1e-12)
    np.testing.assert_allclose(rotations.sum(axis=1), 1.0, atol=1e-12)
    assert (head_rotations(1, 3, generator_of(0)) == 1).all()


def test_rotations_are_uniform():
    # The second moments of a uniform orthogonal matrix of 4 dimensions: 1/4 an entry.
    entries = head_rotations(5, 20_000, generator_of(1)) - 1 / 5
    squares = (entries**2).mean(axis=0)
    np.testing.assert_allclose(squares, np.outer([1] * 5, [1] * 5) * (4 / 5) ** 2 / 4, atol=0.01)


@pytest.mark.parametrize("mean", [0.0, 3.0], ids=["centred", "with a mean"])
def test_draws_equal_rotated_vectors(mean):
    generator = np.random.default_rng(3)
    a, b = generator.normal(mean, 1.0, (12, 20)), generator.normal(mean, 1.0, (10, 20))
    found = rotation_draws(vector_gram(a, b, LAYERS_A, LAYERS_B), 30, generator_of(3))
    same = generator_of(3)
    rotations = [head_rotations(5, 30, same) for _ in range(2)]
    for draw in range(30):
        for head in range(12):
            best = -math.inf
            for layer in range(2):
                for turned in rotations[layer][draw] @ b[layer == LAYERS_B]:
                    product = float(a[head] @ turned)
                    best = max(best, product / math.sqrt(a[head] @ a[head] * (turned @ turned)))
            assert found[draw, head] == pytest.approx(best, abs=1e-9)


def test_p_values_equal_loops_over_draws():
    pair = pair_of(4)
    found = match_test(pair, N_DRAWS, generator_of(4))
    draws = rotation_draws(pair, N_DRAWS, generator_of(4))
    cosines = pair.cosines()
    n_heads = len(cosines)
    scores = []
    for head in range(n_heads):
        observed = max(cosines[head])
        assert found.cosine[head] == observed == cosines[head, found.match[head]]
        values = [math.atanh(value) for value in [observed, *draws[:, head]]]
        mean = sum(values) / len(values)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
        scores.append([(value - mean) / deviation for value in values])
        assert found.z[head] == pytest.approx(scores[head][0], abs=1e-9)
        assert found.p_value[head] == (1 + sum(draws[:, head] >= observed)) / (1 + N_DRAWS)
        assert found.null_mean[head] == pytest.approx(draws[:, head].mean(), abs=1e-9)
        ranked = sorted(draws[:, head])
        assert found.null_high[head] == ranked[math.ceil(0.95 * N_DRAWS) - 1]
    # Step-down: from the strongest head on, the rest competes.
    remaining, before = set(range(n_heads)), 0.0
    while remaining:
        strongest = max(remaining, key=lambda head: scores[head][0])
        hits = sum(
            max(scores[head][draw] for head in remaining) >= scores[strongest][0]
            for draw in range(1 + N_DRAWS)
        )
        before = max(before, hits / (1 + N_DRAWS))
        assert found.p_family[strongest] == pytest.approx(before, abs=1e-12)
        remaining.remove(strongest)
    # Benjamini and Hochberg: the lowest of p n / rank at this rank or a later one.
    ranks = sorted(range(n_heads), key=lambda head: found.p_value[head])
    for rank, head in enumerate(ranks):
        later = [found.p_value[ranks[n]] * n_heads / (n + 1) for n in range(rank, n_heads)]
        assert found.q_value[head] == pytest.approx(min(1.0, *later), abs=1e-12)


@pytest.mark.parametrize("seed", range(40))
def test_family_p_values_are_never_below_p_values(seed):
    found = match_test(pair_of(seed, mean=seed % 3), 99, generator_of(seed))
    assert (found.p_family >= found.p_value).all()
    assert (found.q_value >= found.p_value).all()
    assert (found.p_value >= 1 / 100).all()


def test_corrections_never_lower_any_p_value():
    generator = np.random.default_rng(5)
    for _ in range(200):
        # Coarse numbers, so that there are ties; a column may not vary at all.
        scores = z_scores(generator.integers(-3, 4, (20, 6)) / 4 * (generator.random(6) > 0.2))
        raw = p_values(scores)
        assert (step_down_p_values(scores) >= raw).all()
        assert (false_discovery_rates(raw) >= raw).all()


def test_unrelated_normal_heads_are_called_at_the_level():
    lowest = [match_test(pair_of(n), 199, generator_of(n)).p_family.min() for n in range(300)]
    # Binomial: 300 at 5 % exceeds 8.5 % once in 200 times.
    assert 0.02 <= np.mean(np.array(lowest) <= 0.05) <= 0.085


def test_planted_permutation_is_found():
    generator = np.random.default_rng(6)
    a = generator.normal(size=(12, 20))
    places = np.concatenate([4 * layer + generator.permutation(4) for layer in range(3)])
    b = a[places] + generator.normal(0, 0.05, a.shape)
    found = match_test(vector_gram(a, b, LAYERS_A, LAYERS_A), N_DRAWS, generator_of(6))
    assert (places[found.match] == np.arange(12)).all()
    assert (found.p_family <= 0.05).all()
    assert (found.cosine > found.null_high).all()


@pytest.mark.parametrize("is_equal", [True, False], ids=["equal models", "unrelated models"])
def test_chance_that_does_not_vary_gives_p_1(is_equal):
    pair = pair_of(7)
    gram = pair.a if is_equal else None
    layers = np.arange(12)  # one head a layer: no rotation changes anything
    if gram is not None:
        pair = PairGram(gram, gram, gram, layers, layers)
    else:
        pair = PairGram(pair.a, pair.cross, pair.b, pair.layers_a, np.arange(10))
    found = match_test(pair, N_DRAWS, generator_of(7))
    assert (found.p_value == 1).all()
    assert (found.p_family == 1).all()
    assert (found.q_value == 1).all()
    assert np.isnan(found.z).all()


def test_equal_heads_in_a_layer_of_b_give_p_1():
    generator = np.random.default_rng(8)
    a, b = generator.normal(size=(12, 20)), np.repeat(generator.normal(size=(2, 20)), 5, axis=0)
    found = match_test(vector_gram(a, b, LAYERS_A, LAYERS_B), N_DRAWS, generator_of(8))
    assert (found.p_family == 1).all()


@pytest.mark.parametrize("side", ["a", "b", "both"])
def test_undefined_vectors_have_no_p_value(side):
    generator = np.random.default_rng(9)
    a, b = generator.normal(size=(12, 20)), generator.normal(size=(10, 20))
    a, b = a * (side == "b"), b * (side == "a")
    found = match_test(vector_gram(a, b, LAYERS_A, LAYERS_B), N_DRAWS, generator_of(9))
    assert (found.match == -1).all()
    for values in (found.cosine, found.null_mean, found.null_high, found.z):
        assert np.isnan(values).all()
    for values in (found.p_value, found.p_family, found.q_value):
        assert np.isnan(values).all()


def test_an_undefined_head_leaves_the_others_as_they_are():
    generator = np.random.default_rng(10)
    a, b = generator.normal(size=(12, 20)), generator.normal(size=(10, 20))
    a[5] = 0
    found = match_test(vector_gram(a, b, LAYERS_A, LAYERS_B), N_DRAWS, generator_of(10))
    others = np.arange(12) != 5
    less = vector_gram(a[others], b, LAYERS_A[others], LAYERS_B)
    alone = match_test(less, N_DRAWS, generator_of(10))
    assert np.isnan(found.p_family[5])
    assert found.match[5] == -1
    assert (found.match[others] == alone.match).all()
    for name in ("p_value", "p_family", "q_value", "z"):
        np.testing.assert_allclose(getattr(found, name)[others], getattr(alone, name), atol=1e-9)


def test_an_undefined_head_of_b_is_no_match():
    generator = np.random.default_rng(11)
    a, b = generator.normal(size=(12, 20)), generator.normal(size=(10, 20))
    b[3] = 0
    found = match_test(vector_gram(a, b, LAYERS_A, LAYERS_B), N_DRAWS, generator_of(11))
    assert 3 not in found.match
    assert not np.isnan(found.p_family).any()


@pytest.mark.parametrize("seed", range(5))
def test_two_ways_give_the_larger_p_value(seed):
    pair, generator = pair_of(seed), generator_of(seed)
    forth, back = match_test(pair, 99, generator), match_test(pair.reversed(), 99, generator)
    found = two_way_match_tests(pair, 99, generator_of(seed))
    for result, own, other in zip(found, (forth, back), (back, forth), strict=True):
        assert (result.match == own.match).all()
        assert (result.z == own.z).all()
        for head, match in enumerate(own.match):
            for name in ("p_value", "p_family"):
                pair_of_values = getattr(own, name)[head], getattr(other, name)[match]
                assert getattr(result, name)[head] == max(pair_of_values)
        assert (result.p_family >= result.p_value).all()
        assert (result.q_value >= result.p_value).all()


def test_two_ways_leave_undefined_heads_undefined():
    generator = np.random.default_rng(13)
    a, b = generator.normal(size=(12, 20)), generator.normal(size=(10, 20))
    a[[2, 11]], b[9] = 0, 0
    pair = vector_gram(a, b, LAYERS_A, LAYERS_B)
    of_a, of_b = two_way_match_tests(pair, 99, generator_of(13))
    for name in ("p_value", "p_family", "q_value"):
        assert np.flatnonzero(np.isnan(getattr(of_a, name))).tolist() == [2, 11]
        assert np.flatnonzero(np.isnan(getattr(of_b, name))).tolist() == [9]


def test_a_searched_model_with_heads_unlike_the_rest_gives_no_calls_two_ways():
    # Six heads of each layer of b hardly differ and one does: what makes raw profiles fail.
    calls = []
    for n in range(60):
        generator = np.random.default_rng([n, 14])
        a = 3 + generator.normal(size=(16, 20)) / 4
        b = 3 + generator.normal(size=(16, 20)) * np.tile([4.0, *[0.25] * 7], 2)[:, None]
        layers = np.repeat(np.arange(2), 8)
        tests = two_way_match_tests(vector_gram(a, b, layers, layers), 199, generator)
        one_way = match_test(vector_gram(a, b, layers, layers), 199, generator)
        calls.append(
            [one_way.p_family.min() <= 0.05, min(test.p_family.min() for test in tests) <= 0.05]
        )
    one_way_share, two_way_share = np.mean(calls, axis=0)
    assert one_way_share > 0.2
    assert two_way_share <= 0.1


def test_equally_alike_heads_give_the_first():
    a, b = np.eye(4)[:2], np.eye(4)[[2, 0, 0, 3]]
    pair = vector_gram(a, b, np.zeros(2, int), np.zeros(4, int))
    assert match_test(pair, 99, generator_of(12)).match.tolist() == [1, 0]
