"""Why an answer has no rows: values that a query asks for and no row has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ingest.kernel.errors import InputError
from ingest.kernel.meant import choice_hint
from sql.graph.catalog import declared
from sql.graph.names import serialized

if TYPE_CHECKING:
    from sql.session import Session

# More values of a column are not looked through.
_MAX_VALUES = 100
_NUMBERS = ("smallint", "integer", "bigint", "double", "float")


def absent_values(session: Session, sql: str) -> list[str]:
    """A sentence for each value that a query without an answer compares a column with in vain.

    Looked at are comparisons by = and IN with a column of the relations that the query names. Reads
    these columns, as the query itself did.
    """
    found = []
    try:
        compared = dict.fromkeys(_compared(json.loads(serialized(sql))))
    except RecursionError:  # a sum of hundreds of terms, say
        return []
    for column, value in compared:
        relations = [
            name
            for name in session.names_in(sql)
            if any(known.name == column for known in declared()[name].columns)
        ]
        if value is None:
            found.append(f"nothing equals null: write {column} is null")
        elif relations and not any(_has(session, name, column, value) for name in relations):
            found.append(_sentence(session, relations[0], column, value))
    return found


def _has(session: Session, relation: str, column: str, value: str) -> bool:
    try:
        query = f'select 1 from "{relation}" where "{column}" = $value limit 1'
        return bool(session.rows(query, {"value": value}))
    except InputError:  # a text that is none of the column's type: then the query failed as well
        return True


def _sentence(session: Session, relation: str, column: str, value: str) -> str:
    models = [model.name for model in session.dataset.manifest.models]
    if column in ("model", "model_a", "model_b") and value not in models:
        return f"there is no model {value!r}: {choice_hint(value, models, 'there are')}"
    what = f"no row of {relation} has {column} = {value}"
    type_of = {known.name: known.type for known in declared()[relation].columns}
    if type_of[column] in _NUMBERS:
        query = f'select min("{column}") as least, max("{column}") as most from "{relation}"'
        (ends,) = session.rows(query)
        return f"{what}: they go from {ends['least']} to {ends['most']}"
    rows = session.rows(
        f'select distinct "{column}" as value from "{relation}" where "{column}" is not null '
        f"order by 1 limit {_MAX_VALUES}"
    )
    values = [str(row["value"]) for row in rows]
    return f"{what}: {choice_hint(value, values, 'there are')}" if values else what


def _compared(node: Any) -> Iterator[tuple[str, str | None]]:
    """The columns of a statement's tree that are compared with a constant, each with its text.

    The text is None for NULL.
    """
    if isinstance(node, list):
        for item in node:
            yield from _compared(item)
    if not isinstance(node, dict):
        return
    if node.get("type") == "COMPARE_EQUAL":
        yield from _pairs(node["left"], [node["right"]])
        yield from _pairs(node["right"], [node["left"]])
    elif node.get("type") == "COMPARE_IN":
        column, *values = node["children"]
        yield from _pairs(column, values)
    for value in node.values():
        yield from _compared(value)


def _pairs(
    column: dict[str, Any], values: list[dict[str, Any]]
) -> Iterator[tuple[str, str | None]]:
    if column.get("class") != "COLUMN_REF":
        return
    for value in values:
        if value.get("class") == "CONSTANT":
            literal = value["literal"]
            yield column["column_names"][-1].lower(), literal.get("text")
