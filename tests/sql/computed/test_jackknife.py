"""Intervals by leaving blocks out, against dense vectors made without each block."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sql.computed.matching.content_similarity import content_products
from sql.computed.matching.head_products import head_products
from sql.computed.matching.jackknife import cosine_interval, jackknife_error, leave_one_out
from sql.computed.matching.whitening import whitened_gram
from tests.sql.computed.oracle import content_vectors, random_prompts, whitened_cosines


def test_error_of_a_mean_is_the_textbooks():
    values = np.random.default_rng(0).normal(size=20)
    left_out = np.array([np.delete(values, n).mean() for n in range(20)])
    expected = values.std(ddof=1) / math.sqrt(20)
    assert jackknife_error(left_out) == pytest.approx(expected, abs=1e-12)


def test_interval_of_content_equals_cells_left_out():
    prompts = random_prompts(6, n_heads=8, seed=1)
    blocks = {prompt: prompt // 2 for prompt in range(6)}
    layers = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    sums = head_products(prompts, blocks)
    heads = np.arange(4), np.arange(4, 8)
    whole = whitened_gram(content_products(sums), *heads, layers).cosines()
    without = whitened_gram(content_products(sums, leave_one_out(3)), *heads, layers).cosines()
    low, high = cosine_interval(whole, without)
    z = []
    for block in range(3):
        vectors = content_vectors(prompts, [int(blocks[n] != block) for n in range(6)])
        z.append(np.arctanh(whitened_cosines(vectors[:4], vectors[4:], layers[:4], layers[4:])))
    mean = sum(z) / 3
    error = np.sqrt(2 / 3 * sum((value - mean) ** 2 for value in z))
    t = 4.302652729911275  # 97.5 % of Student's t, 2 degrees of freedom, from a table
    np.testing.assert_allclose(low, np.tanh(np.arctanh(whole) - t * error), atol=1e-9)
    np.testing.assert_allclose(high, np.tanh(np.arctanh(whole) + t * error), atol=1e-9)


def test_interval_holds_its_cosine_and_covers():
    # The correlation of 40 normal pairs in 20 blocks; the true one is 0.6.
    generator, covered = np.random.default_rng(2), 0
    for _ in range(400):
        x = generator.normal(size=40)
        y = 0.6 * x + 0.8 * generator.normal(size=40)
        whole = np.corrcoef(x, y)[0, 1]
        kept = np.repeat(leave_one_out(20) > 0, 2, axis=1)
        left_out = np.array([np.corrcoef(x[rows], y[rows])[0, 1] for rows in kept])
        low, high = cosine_interval(np.array(whole), left_out)
        assert low <= whole <= high
        covered += int(low <= 0.6 <= high)
    assert 0.91 <= covered / 400 <= 0.985


def test_intervals_need_two_blocks_and_numbers():
    low, high = cosine_interval(np.array([0.5]), np.array([[0.5]]))
    assert np.isnan([low, high]).all()
    low, high = cosine_interval(np.array([np.nan, 0.5]), np.array([[np.nan, 0.4], [0.2, 0.6]]))
    assert np.isnan([low[0], high[0]]).all()
    assert low[1] < 0.5 < high[1]
