"""The relation `head_products`: one pass over the attention rows, and nothing reads them again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ingest.kernel.errors import DatasetError
from sql.computed.matching.head_products import HeadProducts
from sql.computed.matching.head_products import head_products as products_of
from sql.computed.matching.prompt_weights import ModelFiles, prompt_weights

if TYPE_CHECKING:
    from sql.session import Inputs

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def head_products(inputs: Inputs) -> pa.Table:
    """The sums of `sql.computed.matching.head_products`, of the models of each tokenizer together.

    Returns: the columns of the relation `head_products`.
    """
    blocks = inputs.query("select prompt_id, block from blocks").fetchnumpy()
    block_of = dict(zip(blocks["prompt_id"].tolist(), blocks["block"].tolist(), strict=True))
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


def _roles(inputs: Inputs, tokenizer: str) -> dict[int, Integers]:
    """The role of each token of the analysed prompts, numbered."""
    found = inputs.query(
        "select tokens.prompt_id, tokens.role from tokens "
        "inner join blocks on blocks.prompt_id = tokens.prompt_id "
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


def _head_ids(inputs: Inputs, tokenizer: str) -> Integers:
    """The numbers of the heads whose models share a tokenizer, in the order of the products."""
    found: Integers = inputs.query(
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


def _product_rows(tokenizer: str, heads: Integers, sums: HeadProducts) -> pa.Table:
    n_blocks, n_heads = sums.n_blocks, sums.n_heads
    counts: list[Floats | None] = [None] * (n_blocks * n_heads)
    counts[::n_heads] = list(sums.class_counts)
    return pa.table(
        [
            pa.array([tokenizer] * (n_blocks * n_heads)),
            np.repeat(np.arange(n_blocks, dtype=np.int32), n_heads),
            np.tile(heads.astype(np.int32), n_blocks),
            _lists(sums.products),
            _lists(sums.class_sums),
            pa.array(counts, pa.list_(pa.float64())),
        ],
        schema=_PRODUCTS,
    )


def _lists(values: Floats) -> pa.ListArray:
    """`[block, head, entry]` as one list a block and head."""
    n_rows, n_entries = values.shape[0] * values.shape[1], values.shape[2]
    offsets = np.arange(n_rows + 1, dtype=np.int32) * n_entries
    return pa.ListArray.from_arrays(offsets, np.ascontiguousarray(values).ravel())


@dataclass(frozen=True)
class StoredSums:
    """The sums of the models of one tokenizer; head_ids: of the heads that they are of."""

    head_ids: Integers
    sums: HeadProducts


def read_head_products(inputs: Inputs) -> dict[str, StoredSums]:
    """The rows of `head_products`, by tokenizer."""
    # Ordered here: DuckDB would carry the long lists along.
    rows = inputs.query(
        "select tokenizer, block, head_id, products, class_sums, class_counts from head_products"
    ).to_arrow_table()
    found = {}
    for tokenizer in sorted(pc.unique(rows["tokenizer"]).to_pylist()):
        own = rows.filter(pc.equal(rows["tokenizer"], tokenizer)).combine_chunks()
        order = np.lexsort((own["head_id"].to_numpy(), own["block"].to_numpy()))
        if (np.diff(order) < 0).any():
            own = own.take(pa.array(order))
        heads = np.unique(own["head_id"].to_numpy())
        shape = (len(own) // len(heads), len(heads), -1)
        products, class_sums = (
            pc.list_flatten(own[name]).to_numpy().reshape(shape)
            for name in ("products", "class_sums")
        )
        class_counts = pc.list_flatten(own["class_counts"]).to_numpy().reshape(shape[0], -1)
        sums = HeadProducts(products, class_sums, class_counts, np.empty((0, 4), dtype=np.int64))
        found[tokenizer] = StoredSums(heads, sums)
    return found
