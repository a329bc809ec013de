"""Groups of models: more alike within than between?"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ingest.kernel.errors import InputError
from sql.computed.arrow import rows_table
from sql.computed.matching.group_test import group_test

if TYPE_CHECKING:
    from sql.session import Inputs

_MEASURES = {"best match": "mean_best_match", "same index": "same_index_share"}


def group_comparison(inputs: Inputs) -> pa.Table:
    """The exact test of the stated groups, by each similarity and measure that is defined.

    Returns: the columns of the relation `group_comparison`; no row without groups.

    Raises: InputError where there are too many ways to deal the models to groups.
    """
    groups = dict(inputs.query("select model, group_name from model_groups").fetchall())
    models = sorted(groups)
    names = sorted(set(groups.values()))
    labels = [names.index(groups[model]) for model in models]
    found = inputs.query(
        "select similarity, model_a, model_b, mean_best_match, same_index_share "
        "from model_similarities where group_a is not null and group_b is not null "
        "order by similarity, model_a, model_b"
    ).fetchall()
    rows = []
    for similarity, own in itertools.groupby(found, key=lambda row: row[0]):
        pairs = list(own)
        for place, measure in enumerate(_MEASURES, start=3):
            entries = np.full((len(models), len(models)), np.nan)
            for row in pairs:
                a, b = models.index(row[1]), models.index(row[2])
                entries[a, b] = entries[b, a] = np.nan if row[place] is None else row[place]
            off_diagonal = ~np.eye(len(models), dtype=bool)
            if not np.isfinite(entries[off_diagonal]).all():
                continue
            try:
                test = group_test(entries, labels)
            except ValueError as error:
                raise InputError(
                    str(error), hint="name fewer models in groups, with --group or in the study"
                ) from error
            within, between = float(test.within.mean()), float(np.nanmean(test.between))
            rows.append(
                (
                    *(similarity, measure, len(names), len(models)),
                    *(within, between, within - between),
                    *(test.p_value, test.n_labelings, test.smallest_p_value),
                )
            )
    return rows_table(rows, _ROWS)


_ROWS = pa.schema(
    [
        ("similarity", pa.string()),
        ("measure", pa.string()),
        ("n_groups", pa.int64()),
        ("n_models", pa.int64()),
        ("within", pa.float64()),
        ("between", pa.float64()),
        ("difference", pa.float64()),
        ("p_value", pa.float64()),
        ("n_labelings", pa.int64()),
        ("smallest_p_value", pa.float64()),
    ]
)
