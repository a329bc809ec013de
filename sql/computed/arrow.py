"""Columns of computed relations, as Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def or_null(values: NDArray[np.float64]) -> pa.Array:
    """What is undefined becomes null.

    >>> or_null(np.array([0.5, np.nan])).to_pylist()
    [0.5, None]
    """
    return pa.array(values, pa.float64(), mask=~np.isfinite(values))


def repeated(text: str, n_rows: int) -> pa.Array:
    """The same text in every row."""
    return pa.repeat(pa.scalar(text), n_rows)


def head_pair_rows(
    heads: NDArray[np.int64], is_none: NDArray[np.bool_] | None = None
) -> tuple[pa.Array, pa.Array]:
    """Layer and head of `[row, (layer, head)]`; null where there is none."""
    layer, head = (pa.array(part.astype(np.int32), mask=is_none) for part in heads.T)
    return layer, head


def rows_table(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """Rows as a table; NaN and None become null.

    >>> schema = pa.schema([("head", pa.int32()), ("value", pa.float64())])
    >>> rows_table([(0, np.nan), (1, 0.5)], schema).to_pylist()
    [{'head': 0, 'value': None}, {'head': 1, 'value': 0.5}]
    """
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [
        pa.array(column, field.type, from_pandas=True)
        for column, field in zip(columns, schema, strict=True)
    ]
    return pa.table(arrays, schema=schema)
