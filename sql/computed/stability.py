"""How far matches hang on the prompts: intervals, split halves, and heads beside themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sql.computed.arrow import head_pair_rows, or_null, repeated
from sql.computed.compared import comparison_of
from sql.computed.matching.gram import vector_gram
from sql.computed.matching.jackknife import cosine_interval, interval, leave_one_out
from sql.computed.matching.match_test import best_matches
from sql.parameters import CONTENT, TESTED_SIMILARITIES

if TYPE_CHECKING:
    from sql.session import Inputs

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Each kind of draw has a stream of its own, so that changing one number leaves the others alone.
_SPLITS = 1


def splits(inputs: Inputs) -> pa.Table:
    """The blocks of prompts in two halves, the second larger by one where their number is odd.

    Returns: the columns of the relation `splits`; no row where there are not two blocks.
    """
    ((n_blocks,),) = inputs.query("select coalesce(max(block) + 1, 0) from blocks").fetchall()
    n_splits = inputs.parameters.n_splits if n_blocks > 1 else 0
    generator = np.random.default_rng([inputs.parameters.seed, _SPLITS])
    halves = np.array(
        [generator.permutation(n_blocks) >= n_blocks // 2 for _ in range(n_splits)], dtype=np.int32
    ).reshape(n_splits, n_blocks)
    split, block = np.indices(halves.shape, dtype=np.int32)
    return pa.table({"split": split.ravel(), "block": block.ravel(), "half": halves.ravel()})


def match_intervals(inputs: Inputs) -> pa.Table:
    """Intervals of every best match and of its lead over the same index.

    Returns: the columns of the relation `match_intervals`.
    """
    similarity = inputs.parameters.chosen_similarity
    comparison = comparison_of(inputs, needs_content=similarity == CONTENT)
    left_out = leave_one_out(comparison.n_blocks)
    tables = []
    for pair in comparison.pairs(inputs):
        if comparison.has(pair, similarity):
            value = comparison.gram(pair, similarity).cosines()
            without = comparison.gram(pair, similarity, left_out).cosines()
            a, b = (pair.model_a, pair.heads_a), (pair.model_b, pair.heads_b)
            tables += [
                _interval_rows(*a, *b, value, without),
                _interval_rows(*b, *a, value.T, without.transpose(0, 2, 1)),
            ]
    return pa.concat_tables(tables) if tables else _INTERVALS.empty_table()


def _interval_rows(
    model_a: str,
    heads_a: Integers,
    model_b: str,
    heads_b: Integers,
    value: Floats,
    without: Floats,
) -> pa.Table:
    """value: `[head of a, head of b]`; without: the same without each block, `[block, ...]`."""
    match, cosine = best_matches(value)
    rows = np.flatnonzero(match >= 0)
    match, cosine = match[rows], cosine[rows]
    cosine_without = without[:, rows, match]
    # The place among b's heads of the same layer and head, -1 without.
    is_same = (heads_a[rows][:, None] == heads_b[None]).all(axis=-1)
    same = np.where(is_same.any(axis=1), is_same.argmax(axis=1), -1)
    lead = np.where(same >= 0, cosine - value[rows, same], np.nan)
    lead_without = np.where(same >= 0, cosine_without - without[:, rows, same], np.nan)
    return pa.table(
        [
            repeated(model_a, len(rows)),
            *head_pair_rows(heads_a[rows]),
            repeated(model_b, len(rows)),
            np.full(len(rows), len(without), dtype=np.int32),
            *map(or_null, cosine_interval(cosine, cosine_without)),
            or_null(lead),
            *map(or_null, interval(lead, lead_without)),
        ],
        schema=_INTERVALS,
    )


_HEAD_AND_MODEL = [
    ("model_a", pa.string()),
    ("layer_a", pa.int32()),
    ("head_a", pa.int32()),
    ("model_b", pa.string()),
]
_INTERVALS = pa.schema(
    [
        *_HEAD_AND_MODEL,
        ("n_blocks", pa.int32()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("lead", pa.float64()),
        ("lead_low", pa.float64()),
        ("lead_high", pa.float64()),
    ]
)


def split_halves(inputs: Inputs) -> pa.Table:
    """Matches chosen on half of the prompts and scored on the other.

    Returns: the columns of the relation `split_halves`.
    """
    similarity = inputs.parameters.chosen_similarity
    halves = _halves(inputs)
    comparison = comparison_of(inputs, needs_content=similarity == CONTENT)
    tables = []
    for pair in comparison.pairs(inputs) if len(halves) else ():
        if comparison.has(pair, similarity):
            both = [comparison.gram(pair, similarity, half).cosines() for half in halves]
            tables += [
                _half_rows(pair.model_a, pair.heads_a, pair.model_b, *both),
                _half_rows(
                    pair.model_b, pair.heads_b, pair.model_a, *(x.transpose(0, 2, 1) for x in both)
                ),
            ]
    return pa.concat_tables(tables) if tables else _HALVES.empty_table()


def _half_rows(
    model_a: str, heads_a: Integers, model_b: str, first: Floats, second: Floats
) -> pa.Table:
    """first, second: `[split, head of a, head of b]` on either half."""
    n_splits, n_heads, n_others = first.shape
    chosen, held_out, choice = [], [], []
    for own, other in ((first, second), (second, first)):
        match, cosine = best_matches(own.reshape(-1, n_others))
        scored = np.take_along_axis(other.reshape(-1, n_others), match[:, None], axis=1)[:, 0]
        # Where nothing is defined, -1 picks some head, but the cosine is NaN and stays so.
        chosen.append(np.where(match < 0, np.nan, cosine).reshape(n_splits, n_heads))
        held_out.append(np.where(match < 0, np.nan, scored).reshape(n_splits, n_heads))
        choice.append(match.reshape(n_splits, n_heads))
    is_defined = np.isfinite(np.stack([*chosen, *held_out])).all(axis=0)  # [split, head]
    rows = np.flatnonzero(is_defined.any(axis=0))
    count = is_defined.sum(axis=0)
    agrees = (choice[0] == choice[1]) & is_defined

    def mean(values: list[Floats]) -> Floats:
        total = np.where(is_defined, values[0] + values[1], 0.0).sum(axis=0)
        means: Floats = total[rows] / count[rows] / 2
        return means

    return pa.table(
        [
            repeated(model_a, len(rows)),
            *head_pair_rows(heads_a[rows]),
            repeated(model_b, len(rows)),
            count[rows],
            mean(chosen),
            mean(held_out),
            agrees.sum(axis=0)[rows] / count[rows],
        ],
        schema=_HALVES,
    )


_HALVES = pa.schema(
    [
        *_HEAD_AND_MODEL,
        ("n_splits", pa.int64()),
        ("chosen", pa.float64()),
        ("held_out", pa.float64()),
        ("agreement", pa.float64()),
    ]
)


def head_reliability(inputs: Inputs) -> pa.Table:
    """How alike every head's profile is to itself on other prompts.

    Returns: the columns of the relation `head_reliability`; no row by a whitened similarity.
    """
    similarity = inputs.parameters.chosen_similarity
    halves = _halves(inputs)
    if similarity in TESTED_SIMILARITIES or not len(halves):
        return _RELIABILITY.empty_table()
    comparison = comparison_of(inputs, needs_content=False)
    tables = []
    for model, heads in comparison.heads.items() if comparison.n_blocks else ():
        own, other = (comparison.profiles(model, similarity, half) for half in halves)
        cosines = vector_gram(own, other, heads[:, 0], heads[:, 0]).cosines()
        to_itself = np.diagonal(cosines, axis1=1, axis2=2)  # [split, head]
        match, _ = best_matches(cosines.reshape(-1, len(heads)))
        is_found = match.reshape(to_itself.shape) == np.arange(len(heads))
        is_defined = np.isfinite(to_itself)
        rows = np.flatnonzero(is_defined.any(axis=0))
        count = is_defined.sum(axis=0)[rows]
        tables.append(
            pa.table(
                [
                    repeated(model, len(rows)),
                    *head_pair_rows(heads[rows]),
                    count,
                    np.nansum(to_itself, axis=0)[rows] / count,
                    (is_found & is_defined).sum(axis=0)[rows] / count,
                ],
                schema=_RELIABILITY,
            )
        )
    return pa.concat_tables(tables) if tables else _RELIABILITY.empty_table()


_RELIABILITY = pa.schema(
    [
        ("model", pa.string()),
        ("layer", pa.int32()),
        ("head", pa.int32()),
        ("n_splits", pa.int64()),
        ("value", pa.float64()),
        ("is_found", pa.float64()),
    ]
)


def _halves(inputs: Inputs) -> Floats:
    """Weights `[half, split, block]` of 0 and 1; empty where there are no splits."""
    rows = inputs.query("select half from splits order by split, block").fetchnumpy()["half"]
    n_splits = inputs.parameters.n_splits
    if not len(rows):
        return np.empty((0, 0, 0))
    second = rows.reshape(n_splits, -1).astype(np.float64)
    return np.stack([1.0 - second, second])
