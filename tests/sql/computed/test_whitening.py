"""Layer-centred, ridge-whitened heads, against dense vectors."""

from __future__ import annotations

import numpy as np
import pytest

from sql.computed.matching.content_similarity import content_products
from sql.computed.matching.head_products import head_products
from sql.computed.matching.whitening import whitened_gram
from tests.sql.computed.oracle import content_vectors, random_prompts, whitened_cosines

# Two models: 2 layers of 3 heads, and 3 layers of 2 heads.
LAYERS = np.array([0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 2, 2])
A, B = np.arange(6), np.arange(6, 12)
BLOCKS = {0: 0, 1: 1, 2: 1, 3: 2, 4: 0, 5: 3}
DRAWS = np.array([[1, 1, 1, 1], [2, 0, 1, 1], [0, 3, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]])


@pytest.fixture(scope="module", params=[True, False], ids=["causal", "all keys"])
def prompts(request):
    return random_prompts(6, n_heads=12, seed=7, is_causal=request.param)


@pytest.mark.parametrize("draw", range(len(DRAWS)))
def test_cosines_equal_those_whitened_in_the_space_of_cells(prompts, draw):
    content = content_products(head_products(prompts, BLOCKS), DRAWS.astype(float))
    vectors = content_vectors(prompts, [DRAWS[draw, BLOCKS[n]] for n in range(6)])
    expected = whitened_cosines(vectors[A], vectors[B], LAYERS[A], LAYERS[B])
    found = whitened_gram(content, A, B, LAYERS).cosines()[draw]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("n_bins", [3, 5, 20])
def test_short_vectors_are_whitened_over_as_many_dimensions_as_they_have(n_bins):
    profiles = np.random.default_rng(n_bins).random((12, n_bins))
    found = whitened_gram(profiles @ profiles.T, A, B, LAYERS, n_bins).cosines()
    expected = whitened_cosines(profiles[A], profiles[B], LAYERS[A], LAYERS[B])
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_profiles_of_text_without_structural_tokens_are_undefined():
    profiles = np.zeros((12, 20))
    assert np.isnan(whitened_gram(profiles @ profiles.T, A, B, LAYERS, 20).cosines()).all()


def test_reversed_pair_has_the_same_cosines(prompts):
    content = content_products(head_products(prompts, BLOCKS))
    pair, back = whitened_gram(content, A, B, LAYERS), whitened_gram(content, B, A, LAYERS)
    np.testing.assert_allclose(back.cosines(), pair.cosines().T, atol=1e-12)
    np.testing.assert_allclose(pair.reversed().cosines(), pair.cosines().T, atol=0)


def test_cosines_do_not_depend_on_a_rotation_of_features_or_on_scale(prompts):
    content = content_products(head_products(prompts, BLOCKS))
    found = whitened_gram(7.0 * content, A, B, LAYERS).cosines()
    np.testing.assert_allclose(found, whitened_gram(content, A, B, LAYERS).cosines(), atol=1e-12)


def test_a_model_and_itself_have_cosines_of_1(prompts):
    content = content_products(head_products(prompts, BLOCKS))
    cosines = whitened_gram(content, A, A, LAYERS).cosines()
    np.testing.assert_allclose(cosines.diagonal(), 1.0, atol=1e-12)
    assert cosines.max() <= 1 + 1e-12


def test_heads_without_content_are_undefined():
    pair = whitened_gram(np.zeros((4, 4)), np.arange(2), np.arange(2, 4), np.zeros(4, int))
    assert np.isnan(pair.cosines()).all()


def test_heads_equal_to_their_layers_mean_are_undefined():
    prompts = random_prompts(4, n_heads=6, seed=9)
    for prompt in prompts:
        prompt.weights[1] = prompt.weights[0]
    content = content_products(head_products(prompts, dict.fromkeys(range(4), 0)))
    # Layer 0 of a: two equal heads; its layer 1: one head; b: one layer of three.
    pair = whitened_gram(content, np.arange(3), np.arange(3, 6), np.array([0, 0, 1, 0, 0, 0]))
    assert np.isnan(pair.cosines()).all()
    pair = whitened_gram(content, np.arange(4), np.arange(4, 6), np.array([0, 0, 1, 1, 0, 0]))
    assert np.isnan(pair.cosines()[:2]).all()
    assert not np.isnan(pair.cosines()[2:]).any()
