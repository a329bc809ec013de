"""Rows changed behind the dataset's back: the manifest agrees, so that only their rule can tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.dataset.commit import commit
from ingest.dataset.manifest import read_manifest
from ingest.dataset.relations import STORED_TABLES
from ingest.dataset.schemas import schema_of
from ingest.dataset.writer import file_entry
from sql.graph.export import write_views

Rows = list[dict[str, Any]]


def rewrite(dataset: Path, table: str, change: Callable[[Rows], object]) -> str:
    """Changes the rows of the first file of a table in place; returns the file's path."""
    manifest = read_manifest(dataset)
    first, *others = manifest.tables[table]
    rows = pq.read_table(dataset / first.path).to_pylist()
    change(rows)
    changed = pa.Table.from_pylist(rows, schema=schema_of(STORED_TABLES[table]))
    pq.write_table(changed, dataset / first.path)
    entry = file_entry(dataset, first.path, len(rows), first.owner)
    commit(dataset, replace(manifest, tables=manifest.tables | {table: (entry, *others)}))
    write_views(dataset)
    return first.path
