"""Matches against chance: the relations of the tests, and the similarities that they are of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sql.computed.arrow import head_pair_rows, or_null, repeated, rows_table
from sql.computed.compared import ComparedPair, Comparison, comparison_of
from sql.computed.matching.match_test import MatchTest, match_test, two_way_match_tests
from sql.computed.matching.same_index_test import same_index_test
from sql.parameters import CONTENT, PROFILE_WHITENED, TESTED_SIMILARITIES

if TYPE_CHECKING:
    from sql.session import Inputs

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Each kind of draw has a stream of its own, so that changing one number leaves the others alone.
_MATCHES, _SAME_INDEX = 3, 4


def whitened_similarities(inputs: Inputs) -> pa.Table:
    """Cosines of all heads of all compared models by the similarities that are tested.

    Returns: the columns of the relation `whitened_similarities`.
    """
    comparison = comparison_of(inputs)
    tables = []
    for pair in comparison.pairs(inputs):
        for similarity in TESTED_SIMILARITIES:
            if comparison.has(pair, similarity):
                values = comparison.gram(pair, similarity).cosines()
                tables += _both_orders(similarity, pair, values)
    return pa.concat_tables(tables) if tables else _SIMILARITIES.empty_table()


def _both_orders(similarity: str, pair: ComparedPair, values: Floats) -> list[pa.Table]:
    a, b = (pair.model_a, pair.heads_a), (pair.model_b, pair.heads_b)
    tables = []
    for (first, heads_1), (second, heads_2), cosines in ((a, b, values), (b, a, values.T)):
        n_rows = cosines.size
        tables.append(
            pa.table(
                [
                    repeated(similarity, n_rows),
                    repeated(first, n_rows),
                    *head_pair_rows(np.repeat(heads_1, len(heads_2), axis=0)),
                    repeated(second, n_rows),
                    *head_pair_rows(np.tile(heads_2, (len(heads_1), 1))),
                    or_null(cosines.ravel()),
                ],
                schema=_SIMILARITIES,
            )
        )
    return tables


_HEAD_PAIRS = [
    ("similarity", pa.string()),
    ("model_a", pa.string()),
    ("layer_a", pa.int32()),
    ("head_a", pa.int32()),
    ("model_b", pa.string()),
    ("layer_b", pa.int32()),
    ("head_b", pa.int32()),
    ("value", pa.float64()),
]
_SIMILARITIES = pa.schema(_HEAD_PAIRS)
_TESTS = pa.schema(
    [
        *_HEAD_PAIRS,
        ("n_draws", pa.int64()),
        ("null_mean", pa.float64()),
        ("null_high", pa.float64()),
        ("p_value", pa.float64()),
        ("p_family", pa.float64()),
        ("false_discovery_rate", pa.float64()),
    ]
)


def match_tests(inputs: Inputs) -> pa.Table:
    """Every head's best match: tested in both directions, or beside chance without a p value.

    Returns: the columns of the relation `match_tests`.
    """
    comparison = comparison_of(inputs)
    tables = []
    for pair in comparison.pairs(inputs):
        tested = CONTENT if comparison.has(pair, CONTENT) else PROFILE_WHITENED
        for similarity in dict.fromkeys((tested, inputs.parameters.chosen_similarity)):
            if comparison.has(pair, similarity):
                tables += _test_rows(comparison, pair, similarity, inputs)
    return pa.concat_tables(tables) if tables else _TESTS.empty_table()


def _test_rows(
    comparison: Comparison, pair: ComparedPair, similarity: str, inputs: Inputs
) -> list[pa.Table]:
    n_draws = inputs.parameters.n_draws
    generator = np.random.default_rng([inputs.parameters.seed, _MATCHES, pair.number])
    gram = comparison.gram(pair, similarity)
    if similarity in TESTED_SIMILARITIES:
        forth, back = two_way_match_tests(gram, n_draws, generator)
    else:
        forth, back = (
            _without_p_values(match_test(side, n_draws, generator))
            for side in (gram, gram.reversed())
        )
    a, b = (pair.model_a, pair.heads_a), (pair.model_b, pair.heads_b)
    return [
        _match_rows(similarity, *a, *b, forth, n_draws),
        _match_rows(similarity, *b, *a, back, n_draws),
    ]


def _without_p_values(found: MatchTest) -> MatchTest:
    none = np.full(len(found.match), np.nan)
    return replace(found, p_value=none, p_family=none, q_value=none)


def _match_rows(
    similarity: str,
    model_a: str,
    heads_a: Integers,
    model_b: str,
    heads_b: Integers,
    found: MatchTest,
    n_draws: int,
) -> pa.Table:
    n_heads = len(heads_a)
    is_none = found.match < 0
    numbers = (found.null_mean, found.null_high, found.p_value, found.p_family, found.q_value)
    return pa.table(
        [
            repeated(similarity, n_heads),
            repeated(model_a, n_heads),
            *head_pair_rows(heads_a),
            repeated(model_b, n_heads),
            *head_pair_rows(heads_b[found.match], is_none),
            or_null(found.cosine),
            pa.array(np.full(n_heads, n_draws), pa.int64(), mask=is_none),
            *map(or_null, numbers),
        ],
        schema=_TESTS,
    )


def same_index_tests(inputs: Inputs) -> pa.Table:
    """Whether two models of one shape have more alike heads at the same index than chance gives.

    Returns: the columns of the relation `same_index_tests`.
    """
    comparison = comparison_of(inputs)
    rows = []
    for pair in comparison.pairs(inputs):
        similarity = CONTENT if comparison.has(pair, CONTENT) else PROFILE_WHITENED
        if not pair.is_one_shape or not comparison.has(pair, similarity):
            continue
        cosines, layers = comparison.gram(pair, similarity).cosines(), pair.heads_a[:, 0]
        for models, values in (
            ((pair.model_a, pair.model_b), cosines),
            ((pair.model_b, pair.model_a), cosines.T),
        ):
            generator = np.random.default_rng([inputs.parameters.seed, _SAME_INDEX, pair.number])
            found = same_index_test(values, layers, layers, generator)
            by_layer = zip(
                found.layers.tolist(),
                found.n_heads.tolist(),
                found.n_same_index.tolist(),
                found.layer_p_value.tolist(),
                found.layer_p_family.tolist(),
                strict=True,
            )
            totals = (int(found.n_heads.sum()), int(found.n_same_index.sum()))
            numbers = [*by_layer, (None, *totals, found.p_value, found.p_value)]
            rows += [(similarity, *models, *row) for row in numbers]
    return rows_table(rows, _SAME_INDEX_ROWS)


_SAME_INDEX_ROWS = pa.schema(
    [
        ("similarity", pa.string()),
        ("model_a", pa.string()),
        ("model_b", pa.string()),
        ("layer", pa.int32()),
        ("n_heads", pa.int64()),
        ("n_same_index", pa.int64()),
        ("p_value", pa.float64()),
        ("p_family", pa.float64()),
    ]
)
