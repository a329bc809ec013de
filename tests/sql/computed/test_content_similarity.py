"""Content: inner products beyond position and role, against dense vectors."""

from __future__ import annotations

import numpy as np
import pytest

from sql.computed.matching.content_similarity import content_products
from sql.computed.matching.head_products import head_products
from tests.sql.computed.oracle import content_vectors, random_prompts

BLOCKS = {0: 0, 1: 1, 2: 1, 3: 2, 4: 0, 5: 3}
DRAWS = np.array([[1, 1, 1, 1], [2, 0, 1, 1], [0, 3, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]])


@pytest.fixture(scope="module", params=[True, False], ids=["causal", "all keys"])
def prompts(request):
    return random_prompts(6, n_heads=12, seed=7, is_causal=request.param)


@pytest.mark.parametrize("draw", range(len(DRAWS)))
def test_products_equal_those_of_centred_cells(prompts, draw):
    content = content_products(head_products(prompts, BLOCKS), DRAWS.astype(float))[draw]
    vectors = content_vectors(prompts, [DRAWS[draw, BLOCKS[n]] for n in range(6)])
    np.testing.assert_allclose(content, vectors @ vectors.T, atol=1e-9)


def test_every_block_once_is_the_default(prompts):
    sums = head_products(prompts, BLOCKS)
    once = content_products(sums, np.ones((1, 4)))[0]
    assert (content_products(sums) == once).all()


def test_heads_of_position_alone_have_no_content():
    prompts = random_prompts(4, n_heads=4, seed=8)
    for prompt in prompts:  # every head looks at itself and nowhere else
        prompt.weights[:] = prompt.query == prompt.key
    content = content_products(head_products(prompts, dict.fromkeys(range(4), 0)))
    assert (content == 0).all()


def test_a_block_that_a_draw_leaves_out_counts_for_nothing(prompts):
    sums = head_products(prompts, BLOCKS)
    chosen = [prompt for prompt in prompts if BLOCKS[prompt.prompt_id] != 1]
    less = head_products(chosen, dict.fromkeys(BLOCKS, 0))
    found = content_products(sums, np.array([[1.0, 0.0, 1.0, 1.0]]))[0]
    np.testing.assert_allclose(found, content_products(less), atol=1e-10)
