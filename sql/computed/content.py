"""Matches by what heads attend to beyond position and role: the relations made of one pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ingest.kernel.errors import DatasetError
from sql.computed.draws import UNITS
from sql.computed.matching.content_similarity import content_products
from sql.computed.matching.gram import PairGram
from sql.computed.matching.head_products import HeadProducts, blocks_of_units
from sql.computed.matching.head_products import head_products as products_of
from sql.computed.matching.jackknife import cosine_interval, leave_one_out
from sql.computed.matching.match_test import MatchTest, two_way_match_tests
from sql.computed.matching.prompt_weights import ModelFiles, prompt_weights
from sql.computed.matching.same_index_test import same_index_test
from sql.computed.matching.whitening import whitened_gram

if TYPE_CHECKING:
    from sql.session import Inputs

# Each kind of draw has a stream of its own, so that changing one number leaves the others alone.
_MATCHES, _SAME_INDEX = 3, 4
# Intervals leave out a block at a time.
_MOST_BLOCKS = 20
# So that p values reach 0.001.
_LEAST_DRAWS = 999


def head_products(inputs: Inputs) -> pa.Table:
    """The sums of `sql.computed.matching.head_products`, of the models of each tokenizer together.

    Returns: the columns of the relation `head_products`.
    """
    units = inputs.query(UNITS).fetchnumpy()
    blocks = blocks_of_units(units["unit"].astype(int), _MOST_BLOCKS).tolist()
    block_of = dict(zip(units["prompt_id"].tolist(), blocks, strict=True))
    models = inputs.query(
        "select tokenizer, model, n_heads from models order by tokenizer, model"
    ).fetchall()
    layers = inputs.query("select model, layer from layers order by model, layer").fetchall()
    tables = []
    for tokenizer in dict.fromkeys(row[0] for row in models):
        files = [
            ModelFiles(
                model,
                inputs.attention_files(model),
                [layer for of_model, layer in layers if of_model == model],
                n_heads,
            )
            for own, model, n_heads in models
            if own == tokenizer
        ]
        roles = _roles(inputs, tokenizer)
        if roles:
            try:
                sums = products_of(prompt_weights(files, roles), block_of)
            except ValueError as error:
                hint = "`headswap verify` says what is wrong with the dataset"
                raise DatasetError(str(error), hint=hint) from error
            tables.append(_product_rows(tokenizer, _head_ids(inputs, tokenizer), sums))
    return pa.concat_tables(tables) if tables else _PRODUCTS.empty_table()


def _roles(inputs: Inputs, tokenizer: str) -> dict[int, NDArray[np.int64]]:
    """The role of each token of the analysed prompts, numbered."""
    found = inputs.query(
        "select tokens.prompt_id, tokens.role from tokens "
        "inner join analysed_prompts on analysed_prompts.prompt_id = tokens.prompt_id "
        "where tokens.tokenizer = $tokenizer order by tokens.prompt_id, tokens.position",
        {"tokenizer": tokenizer},
    ).fetchnumpy()
    prompts = found["prompt_id"]
    codes = np.unique(found["role"].astype(str), return_inverse=True)[1].ravel()
    starts = np.flatnonzero(np.diff(prompts, prepend=-1))
    return {
        int(prompts[start]): part
        for start, part in zip(starts, np.split(codes, starts[1:]), strict=True)
    }


def _head_ids(inputs: Inputs, tokenizer: str) -> NDArray[np.int64]:
    """The numbers of the heads whose models share a tokenizer, in the order of the products."""
    found: NDArray[np.int64] = inputs.query(
        "select heads.head_id from heads inner join models on models.model = heads.model "
        "where models.tokenizer = $tokenizer order by heads.head_id",
        {"tokenizer": tokenizer},
    ).fetchnumpy()["head_id"]
    return found


_PRODUCTS = pa.schema(
    [
        ("tokenizer", pa.string()),
        ("block", pa.int32()),
        ("head_id", pa.int32()),
        ("products", pa.list_(pa.float64())),
        ("class_sums", pa.list_(pa.float64())),
        ("class_counts", pa.list_(pa.float64())),
    ]
)


def _product_rows(tokenizer: str, heads: NDArray[np.int64], sums: HeadProducts) -> pa.Table:
    n_blocks, n_heads = sums.n_blocks, sums.n_heads
    counts = np.repeat(sums.class_counts[:, None], n_heads, axis=1)  # [block, head, class]
    return pa.table(
        [
            pa.array([tokenizer] * (n_blocks * n_heads)),
            np.repeat(np.arange(n_blocks, dtype=np.int32), n_heads),
            np.tile(heads.astype(np.int32), n_blocks),
            _lists(sums.products),
            _lists(sums.class_sums),
            _lists(counts),
        ],
        schema=_PRODUCTS,
    )


def _lists(values: NDArray[np.float64]) -> pa.ListArray:
    """`[block, head, entry]` as one list a block and head."""
    n_rows, n_entries = values.shape[0] * values.shape[1], values.shape[2]
    offsets = np.arange(n_rows + 1, dtype=np.int32) * n_entries
    return pa.ListArray.from_arrays(offsets, np.ascontiguousarray(values).ravel())


class _Sums:
    """The sums of the models of one tokenizer: products are made of them once for all pairs.

    head_ids, layers: of the heads that they are of.
    """

    def __init__(
        self, head_ids: NDArray[np.int64], layers: NDArray[np.int64], sums: HeadProducts
    ) -> None:
        self.head_ids, self.layers = head_ids, layers
        self._sums = sums

    @cached_property
    def products(self) -> NDArray[np.float64]:
        """`[head, head]`, over all prompts."""
        return content_products(self._sums)

    @cached_property
    def products_left_out(self) -> NDArray[np.float64]:
        """`[block, head, head]`, without each block of prompts."""
        return content_products(self._sums, leave_one_out(self._sums.n_blocks))


def _read_sums(inputs: Inputs) -> dict[str, _Sums]:
    """By tokenizer."""
    rows = inputs.query(
        "select tokenizer, block, head_id, products, class_sums, class_counts from head_products "
        "order by tokenizer, block, head_id"
    ).to_arrow_table()
    layers = inputs.query("select layer from heads order by head_id").fetchnumpy()["layer"]
    found = {}
    for tokenizer in pc.unique(rows["tokenizer"]).to_pylist():
        own = rows.filter(pc.equal(rows["tokenizer"], tokenizer)).combine_chunks()
        heads = np.unique(own["head_id"].to_numpy())
        shape = (len(own) // len(heads), len(heads), -1)
        parts = [
            pc.list_flatten(own[name]).to_numpy().reshape(shape)
            for name in ("products", "class_sums", "class_counts")
        ]
        sums = HeadProducts(parts[0], parts[1], parts[2][:, 0], np.empty((0, 4), dtype=np.int64))
        found[tokenizer] = _Sums(heads, layers[heads], sums)
    return found


@dataclass(frozen=True)
class _Pair:
    """Two models compared: heads `[head, (head_id, layer, head)]`, and the sums that they are of.

    number: of the pair, for its stream of draws.
    """

    number: int
    model_a: str
    model_b: str
    heads_a: NDArray[np.int64]
    heads_b: NDArray[np.int64]
    sums: _Sums

    def gram(self) -> PairGram:
        """Inner products over all prompts."""
        return self._whitened(self.sums.products)

    def gram_left_out(self) -> PairGram:
        """Inner products without each block of prompts, `[block, ...]`."""
        return self._whitened(self.sums.products_left_out)

    def _whitened(self, products: NDArray[np.float64]) -> PairGram:
        heads_a, heads_b = (
            np.searchsorted(self.sums.head_ids, heads[:, 0])
            for heads in (self.heads_a, self.heads_b)
        )
        return whitened_gram(products, heads_a, heads_b, self.sums.layers)


def _compared(inputs: Inputs) -> Iterator[_Pair]:
    """The pairs whose models share a tokenizer, in both orders."""
    sums = _read_sums(inputs)
    heads: dict[str, list[tuple[int, ...]]] = {}
    tokenizer_of: dict[str, str] = {}
    for model, tokenizer, *place in inputs.query(
        "select heads.model, models.tokenizer, heads.head_id, heads.layer, heads.head from heads "
        "inner join models on models.model = heads.model order by heads.head_id"
    ).fetchall():
        tokenizer_of[model] = tokenizer
        heads.setdefault(model, []).append(tuple(place))
    pairs = inputs.query("select model_a, model_b from pairs order by model_a, model_b").fetchall()
    for number, (model_a, model_b) in enumerate(pairs):
        tokenizer = tokenizer_of[model_a]
        if tokenizer == tokenizer_of[model_b] and tokenizer in sums:
            heads_a, heads_b = np.array(heads[model_a]), np.array(heads[model_b])
            yield _Pair(number, model_a, model_b, heads_a, heads_b, sums[tokenizer])


def content_matches(inputs: Inputs) -> pa.Table:
    """Every head's best match by content, tested in both directions.

    Returns: the columns of the relation `content_matches`.
    """
    tables = []
    n_draws = max(inputs.parameters.n_draws, _LEAST_DRAWS)
    for pair in _compared(inputs):
        if pair.model_a > pair.model_b:
            continue  # tested with the other order
        generator = np.random.default_rng([inputs.parameters.seed, _MATCHES, pair.number])
        forth, back = two_way_match_tests(pair.gram(), n_draws, generator)
        left_out = pair.gram_left_out().cosines()  # [block, head of a, head of b]
        a, b = (pair.model_a, pair.heads_a), (pair.model_b, pair.heads_b)
        tables += [
            _match_rows(*a, *b, forth, left_out),
            _match_rows(*b, *a, back, left_out.transpose(0, 2, 1)),
        ]
    return pa.concat_tables(tables) if tables else _MATCH_ROWS.empty_table()


_MATCH_ROWS = pa.schema(
    [
        ("model_a", pa.string()),
        ("layer_a", pa.int32()),
        ("head_a", pa.int32()),
        ("model_b", pa.string()),
        ("layer_b", pa.int32()),
        ("head_b", pa.int32()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("null_mean", pa.float64()),
        ("null_high", pa.float64()),
        ("p_value", pa.float64()),
        ("p_family", pa.float64()),
        ("false_discovery_rate", pa.float64()),
    ]
)


def _match_rows(
    model_a: str,
    heads_a: NDArray[np.int64],
    model_b: str,
    heads_b: NDArray[np.int64],
    found: MatchTest,
    left_out: NDArray[np.float64],
) -> pa.Table:
    n_heads = len(heads_a)
    is_there = found.match >= 0
    match = np.where(is_there, found.match, 0)
    low, high = cosine_interval(found.cosine, left_out[:, np.arange(n_heads), match])
    numbers = (found.cosine, low, high, found.null_mean, found.null_high)
    columns = [
        pa.array([model_a] * n_heads),
        *(pa.array(part, pa.int32()) for part in heads_a[:, 1:].T),
        pa.array([model_b] * n_heads),
        *(pa.array(part, pa.int32(), mask=~is_there) for part in heads_b[match, 1:].T),
        *map(_or_null, (*numbers, found.p_value, found.p_family, found.q_value)),
    ]
    return pa.table(columns, schema=_MATCH_ROWS)


def _or_null(values: NDArray[np.float64]) -> pa.Array:
    return pa.array(values, pa.float64(), mask=~np.isfinite(values))


def same_index_tests(inputs: Inputs) -> pa.Table:
    """Whether two models of one shape have more alike heads at the same index than chance gives.

    Returns: the columns of the relation `same_index_tests`.
    """
    rows = []
    for pair in _compared(inputs):
        if not np.array_equal(pair.heads_a[:, 1:], pair.heads_b[:, 1:]):
            continue
        generator = np.random.default_rng([inputs.parameters.seed, _SAME_INDEX, pair.number])
        layers = pair.heads_a[:, 1]
        found = same_index_test(pair.gram().cosines(), layers, layers, generator)
        for layer, n_heads, n_same, p_value, p_family in zip(
            found.layers.tolist(),
            found.n_heads.tolist(),
            found.n_same_index.tolist(),
            found.layer_p_value.tolist(),
            found.layer_p_family.tolist(),
            strict=True,
        ):
            rows.append((pair.model_a, pair.model_b, layer, n_heads, n_same, p_value, p_family))
        totals = (int(found.n_heads.sum()), int(found.n_same_index.sum()))
        rows.append((pair.model_a, pair.model_b, None, *totals, found.p_value, found.p_value))
    columns = list(zip(*rows, strict=True)) or [()] * len(_SAME_INDEX_ROWS)
    arrays = [
        _or_null(np.array(column, dtype=np.float64)) if field.type == pa.float64() else column
        for column, field in zip(columns, _SAME_INDEX_ROWS, strict=True)
    ]
    return pa.table(arrays, schema=_SAME_INDEX_ROWS)


_SAME_INDEX_ROWS = pa.schema(
    [
        ("model_a", pa.string()),
        ("model_b", pa.string()),
        ("layer", pa.int32()),
        ("n_heads", pa.int64()),
        ("n_same_index", pa.int64()),
        ("p_value", pa.float64()),
        ("p_family", pa.float64()),
    ]
)
