"""The sums of one pass, against loops over cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sql.computed.matching import head_products as module
from sql.computed.matching.head_products import HeadProducts, head_products
from tests.sql.computed.oracle import cells_of, class_of, random_prompts

BLOCKS = {0: 0, 1: 1, 2: 1, 3: 2, 4: 0}


@pytest.mark.parametrize("is_causal", [True, False], ids=["causal", "all keys"])
def test_sums_equal_loops_over_cells(is_causal):
    prompts = random_prompts(5, n_heads=4, seed=1, is_causal=is_causal)
    sums = head_products(iter(prompts), BLOCKS)
    products = np.zeros((3, 4, 4))
    class_sums: dict[tuple[int, ...], np.ndarray] = {}
    counts: dict[tuple[int, ...], np.ndarray] = {}
    for prompt in prompts:
        block = BLOCKS[prompt.prompt_id]
        for cell in cells_of(prompt):
            roots = np.sqrt(prompt.weights[:, cell].astype(np.float64))
            products[block] += np.outer(roots, roots)
            name = class_of(prompt, cell)
            class_sums.setdefault(name, np.zeros((3, 4)))[block] += roots
            counts.setdefault(name, np.zeros(3))[block] += 1
    names = sorted(counts)
    assert sums.classes.tolist() == [list(name) for name in names]
    np.testing.assert_allclose(sums.products, products, atol=1e-12)
    np.testing.assert_allclose(
        sums.class_sums, np.stack([class_sums[name] for name in names], axis=-1), atol=1e-12
    )
    assert (sums.class_counts == np.stack([counts[name] for name in names], axis=-1)).all()


def test_sums_do_not_depend_on_portions_of_cells(monkeypatch):
    prompts = random_prompts(5, n_heads=4, seed=2)
    whole = head_products(prompts, BLOCKS)
    monkeypatch.setattr(module, "_ENTRIES_AT_A_TIME", 12)
    _assert_equal(head_products(prompts, BLOCKS), whole)


def test_sums_make_room_for_many_classes():
    prompts = random_prompts(30, n_heads=2, seed=3, n_roles=6)
    sums = head_products(prompts, dict.fromkeys(range(30), 0))
    assert len(sums.classes) > 128
    n_cells = sum(len(cells_of(prompt)) for prompt in prompts)
    assert sums.class_counts.sum() == n_cells


def test_sums_do_not_depend_on_the_order_of_prompts():
    prompts = random_prompts(5, n_heads=4, seed=4)
    _assert_equal(head_products(prompts[::-1], BLOCKS), head_products(prompts, BLOCKS))


def test_query_0_and_its_prompt_count_for_nothing():
    prompts = random_prompts(2, n_heads=3, seed=5)
    single = replace(
        prompts[0],
        prompt_id=2,
        weights=np.ones((3, 1), np.float32),
        **dict.fromkeys(("query", "key", "role_query", "role_key"), np.zeros(1, int)),
    )
    blocks = {0: 0, 1: 0, 2: 0}
    _assert_equal(head_products([*prompts, single], blocks), head_products(prompts, blocks))


def test_sums_refuse_prompts_of_other_heads_or_none():
    prompts = random_prompts(2, n_heads=3, seed=6)
    fewer = replace(prompts[1], weights=prompts[1].weights[:2])
    with pytest.raises(ValueError, match="prompt 1 has 2 heads"):
        head_products([prompts[0], fewer], {0: 0, 1: 0})
    with pytest.raises(ValueError, match="no prompt"):
        head_products([], {0: 0})


def _assert_equal(found: HeadProducts, expected: HeadProducts) -> None:
    assert (found.classes == expected.classes).all()
    assert (found.class_counts == expected.class_counts).all()
    np.testing.assert_allclose(found.products, expected.products, atol=1e-12)
    np.testing.assert_allclose(found.class_sums, expected.class_sums, atol=1e-12)
