"""The heads of two models paired off one to one."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from sql.computed.arrow import rows_table

if TYPE_CHECKING:
    from sql.session import Inputs

_KEYS = ("similarity", "model_a", "model_b")
_HEADS = ("layer_a", "head_a", "layer_b", "head_b")


def migration_map(inputs: Inputs) -> pa.Table:
    """The assignment of heads with the highest sum of similarities, for each similarity and pair.

    Scope `model` lets every head go to any, `layer` only to heads of the same layer. Where the
    models differ in heads, those of the larger that cost least to leave out have no partner, and
    none have heads whose similarity to all others is undefined.
    Solved by SciPy's linear_sum_assignment (Crouse 2016, doi 10.1109/TAES.2016.140952).

    Returns: the columns of the view `migration_map`.
    """
    from scipy.optimize import linear_sum_assignment

    ranking = inputs.query(
        "select similarity, model_a, layer_a, head_a, model_b, layer_b, head_b, value, "
        "rank = 1 as is_best from similarity_ranking where value is not null "
        "order by similarity, model_a, model_b, layer_a, head_a, layer_b, head_b"
    ).to_arrow_table()
    rows: list[tuple[object, ...]] = []
    columns = {name: ranking[name].to_numpy() for name in ranking.column_names}
    keys = list(zip(*(columns[name].tolist() for name in _KEYS), strict=True))
    starts = [n for n, key in enumerate(keys) if n == 0 or key != keys[n - 1]]
    for start, end in itertools.pairwise([*starts, len(keys)]):
        part = {name: values[start:end] for name, values in columns.items()}
        similarity, model_a, model_b = keys[start]
        layers: list[int | None] = [None, *np.unique(part["layer_a"]).tolist()]
        for layer in layers:
            chosen = np.ones(end - start, dtype=bool)
            if layer is not None:
                chosen = (part["layer_a"] == layer) & (part["layer_b"] == layer)
            if not chosen.any():
                continue
            heads = np.stack([part[name][chosen] for name in _HEADS], axis=1).astype(int)
            n_a = len(np.unique(heads[:, :2], axis=0))
            values = part["value"][chosen].reshape(n_a, -1)  # [head of a, head of b]
            # Rounded like rankings, so that ties do not hang on the last bit of a sum.
            for cell in zip(*linear_sum_assignment(values.round(9), maximize=True), strict=True):
                flat = int(np.ravel_multi_index(cell, values.shape))
                layer_a, head_a, layer_b, head_b = heads[flat].tolist()
                rows.append(
                    (
                        similarity,
                        "model" if layer is None else "layer",
                        model_a,
                        layer_a,
                        head_a,
                        model_b,
                        layer_b,
                        head_b,
                        float(values[cell]),
                        (layer_a, head_a) != (layer_b, head_b),
                        bool(part["is_best"][chosen][flat]),
                    )
                )
    return rows_table(rows, _SCHEMA)


_SCHEMA = pa.schema(
    [
        ("similarity", pa.string()),
        ("scope", pa.string()),
        ("model_a", pa.string()),
        ("layer_a", pa.int32()),
        ("head_a", pa.int32()),
        ("model_b", pa.string()),
        ("layer_b", pa.int32()),
        ("head_b", pa.int32()),
        ("value", pa.float64()),
        ("is_moved", pa.bool_()),
        ("is_best", pa.bool_()),
    ]
)
