"""Two engines held against each other: the same relation or query of two sessions, cell by cell."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from sql.graph.relation import Relation
from sql.session import Session

TOLERANCE = 1e-9
# Of the largest relations one head is looked at; what follows from all their rows is compared, too.
_OF_ONE_HEAD = {"attention", "attention_rows", "structural_mass", "attention_norms"}


def rows_of(session: Session, relation: Relation) -> pa.Table:
    """All rows of a relation in the order of its grain; of the largest those of one head."""
    columns = ", ".join(f'"{column.name}"' for column in relation.columns)
    order = ", ".join(f'"{name}" nulls first' for name in relation.grain)
    where = "where layer = 1 and head = 1" if relation.name in _OF_ONE_HEAD else ""
    sql = f"select {columns} from {relation.name} {where} order by {order}"
    return session.query(sql).to_arrow_table()


def differences(expected: pa.Table, found: pa.Table) -> list[str]:
    """What two tables differ in, a line each: columns, types, number of rows, values.

    Doubles may differ by 1e-9, relative to numbers above 1.
    """
    if expected.schema.names != found.schema.names:
        return [f"columns {expected.schema.names}, {found.schema.names}"]
    if len(expected) != len(found):
        return [f"{len(expected)} rows, {len(found)} rows"]
    lines = []
    # By place: a result may have a name twice.
    for place, name in enumerate(expected.schema.names):
        ours, theirs = (table.column(place).combine_chunks() for table in (expected, found))
        if ours.type != theirs.type:
            lines.append(f"{name}: type {ours.type}, {theirs.type}")
        elif not _is_close(ours, theirs):
            pairs = zip(ours.to_pylist(), theirs.to_pylist(), strict=True)
            unlike = [pair for pair in pairs if pair[0] != pair[1]]
            lines.append(f"{name}: {len(unlike)} values, first {unlike[:3]}")
    return lines


def _is_close(ours: pa.Array, theirs: pa.Array) -> bool:
    if pa.types.is_list(ours.type):
        same = ours.is_null().equals(theirs.is_null()) and ours.offsets.equals(theirs.offsets)
        return same and _is_close(ours.flatten(), theirs.flatten())
    if not pa.types.is_floating(ours.type):
        return bool(ours.equals(theirs))
    if not ours.is_null().equals(theirs.is_null()):
        return False
    left, right = (array.drop_null().to_numpy() for array in (ours, theirs))
    return bool(np.allclose(left, right, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True))
