"""Sums over attention cells from which every pattern statistic follows.

The vector of a head has one entry a cell (prompt, query, key): r = sqrt(weight), so that each
query's row has length 1 (the Hellinger embedding of a distribution). All heads of all compared
models are stacked. Cells fall into classes of equal position and role; a class is
(query - key, whether key = 0, role of the query, role of the key). By block of prompts are kept:

- `products[block, h, g]`: sum over cells of r_h r_g
- `class_sums[block, h, c]`: sum over the cells of class c of r_h
- `class_counts[block, c]`: number of cells of class c

All three are additive over prompts, so that one pass over the rows is enough and no statistic
after it reads rows again. Query 0 is left out: a causal model has no choice there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Entries of the matrix [cell, head] that are in work at once: 32 MB in double precision.
_ENTRIES_AT_A_TIME = 1 << 22


@dataclass(frozen=True)
class PromptWeights:
    """The attention weights of all compared models on one prompt.

    Attributes:
        prompt_id: joins prompts.
        weights: `[head, cell]`, float32 or float64, the heads of all models stacked.
        query: `[cell]`, 0-based.
        key: `[cell]`, 0-based.
        role_query: `[cell]`, a small integer from 0, the role of the query's token.
        role_key: `[cell]`, the same for the key's token.
    """

    prompt_id: int
    weights: NDArray[np.floating]
    query: NDArray[np.integer]
    key: NDArray[np.integer]
    role_query: NDArray[np.integer]
    role_key: NDArray[np.integer]


@dataclass(frozen=True)
class HeadProducts:
    """The sums of the module's text, by block of prompts.

    Attributes:
        products: `[block, head, head]`, float64, symmetric.
        class_sums: `[block, head, class]`, float64.
        class_counts: `[block, class]`, float64, whole numbers.
        classes: `[class, (query - key, key = 0, role of query, role of key)]`, int64, sorted.
    """

    products: Floats
    class_sums: Floats
    class_counts: Floats
    classes: Integers

    @property
    def n_blocks(self) -> int:
        return len(self.products)

    @property
    def n_heads(self) -> int:
        return int(self.products.shape[1])


def head_products(prompts: Iterable[PromptWeights], block_of: Mapping[int, int]) -> HeadProducts:
    """Adds up the sums of all prompts, which are read once and not kept.

    block_of: the block of each prompt_id, numbered from 0 without gaps.

    Raises: KeyError where a prompt has no block; ValueError where there is no prompt, or prompts
    differ in their number of heads.
    """
    sums: _Sums | None = None
    for prompt in prompts:
        if sums is None:
            sums = _Sums(len(prompt.weights), max(block_of.values()) + 1)
        sums.add(prompt, block_of[prompt.prompt_id])
    if sums is None:
        raise ValueError("no prompt to take products of")
    return sums.result()


class _Sums:
    """The sums so far; classes are numbered as they appear."""

    def __init__(self, n_heads: int, n_blocks: int) -> None:
        self._products = np.zeros((n_blocks, n_heads, n_heads))
        self._class_sums = np.zeros((n_blocks, 64, n_heads))  # [block, class, head]
        self._class_counts = np.zeros((n_blocks, 64))
        self._class_number: dict[tuple[int, int, int, int], int] = {}

    def add(self, prompt: PromptWeights, block: int) -> None:
        n_heads = self._products.shape[1]
        if len(prompt.weights) != n_heads:
            raise ValueError(f"prompt {prompt.prompt_id} has {len(prompt.weights)} heads")
        chosen = np.flatnonzero(prompt.query > 0)
        if not len(chosen):
            return
        class_of_cell, classes = _classes(prompt, chosen)
        # Cells of a class side by side, so that a class is summed as one run of rows.
        order = np.argsort(class_of_cell, kind="stable")
        numbers = self._numbers(classes)
        step = max(_ENTRIES_AT_A_TIME // n_heads, 1)
        for start in range(0, len(order), step):
            cells = order[start : start + step]
            weights = prompt.weights[:, chosen[cells]].T
            roots = np.sqrt(weights, dtype=np.float64, order="C")  # [cell, head]
            self._products[block] += roots.T @ roots
            runs = class_of_cell[cells]
            starts = np.flatnonzero(np.diff(runs, prepend=-1))
            found = numbers[runs[starts]]
            self._class_sums[block, found] += np.add.reduceat(roots, starts, axis=0)
            self._class_counts[block, found] += np.diff(starts, append=len(runs))

    def _numbers(self, classes: Integers) -> Integers:
        """The number of each class, new ones included."""
        numbers = [
            self._class_number.setdefault(key, len(self._class_number))
            for key in map(tuple, classes.tolist())
        ]
        room = self._class_sums.shape[1]
        if len(self._class_number) > room:
            more = max(2 * room, len(self._class_number)) - room
            self._class_sums = np.pad(self._class_sums, ((0, 0), (0, more), (0, 0)))
            self._class_counts = np.pad(self._class_counts, ((0, 0), (0, more)))
        return np.array(numbers, dtype=np.int64)

    def result(self) -> HeadProducts:
        classes = np.array(list(self._class_number), dtype=np.int64).reshape(-1, 4)
        order = np.lexsort(classes.T[::-1])
        return HeadProducts(
            self._products,
            np.ascontiguousarray(self._class_sums[:, order].transpose(0, 2, 1)),
            self._class_counts[:, order],
            classes[order],
        )


def _classes(prompt: PromptWeights, cells: Integers) -> tuple[Integers, Integers]:
    """The class of each cell `[cell]` as a place in the second result `[class, 4]`."""
    query, key = prompt.query[cells].astype(np.int64), prompt.key[cells].astype(np.int64)
    columns = np.stack([query - key, key == 0, prompt.role_query[cells], prompt.role_key[cells]])
    low = columns.min(axis=1)
    sizes = columns.max(axis=1) - low + 1
    codes = np.ravel_multi_index(tuple(columns - low[:, None]), tuple(sizes))
    found, place = np.unique(codes, return_inverse=True)
    classes = np.stack(np.unravel_index(found, tuple(sizes)), axis=1) + low
    return place.ravel(), classes
