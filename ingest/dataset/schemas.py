"""Arrow schemas of the stored tables, made from their declarations."""

from __future__ import annotations

import pyarrow as pa

from ingest.dataset.relations import StoredColumn, StoredTable

_ARROW_TYPES = {
    "bool": pa.bool_(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float16": pa.float16(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "string": pa.string(),
    "list<string>": pa.list_(pa.string()),
}


def schema_of(table: StoredTable, precision: str = "float32") -> pa.Schema:
    """The columns of the table's files; precision: of columns of the type `weight`."""
    return pa.schema([_field(column, precision) for column in table.columns])


def _field(column: StoredColumn, precision: str) -> pa.Field:
    kind = precision if column.type == "weight" else column.type
    return pa.field(column.name, _ARROW_TYPES[kind], nullable=column.is_nullable)
