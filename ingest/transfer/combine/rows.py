"""Rows of stored tables on their way from one dataset into another, a row group at a time."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ingest.dataset.manifest import FileEntry
from ingest.dataset.relations import StoredColumn, StoredTable
from ingest.dataset.writer import file_entry, open_file, table_file
from ingest.kernel.errors import InputError
from ingest.kernel.files import written_aside
from ingest.transfer.combine.fit import damaged

_CHUNK_BYTES = 1 << 22
# What rows of a row group become: other rows, perhaps fewer.
Change = Callable[[pa.Table], pa.Table]


def target_of(table: StoredTable, column: StoredColumn) -> str:
    """What a column's values stand for, as `table.column`: what it refers to, else itself."""
    return column.refers_to or f"{table.name}.{column.name}"


def copy_file(source: Path, entry: FileEntry, target: Path, path: str) -> FileEntry:
    """Copies a file byte by byte to `path` below `target` and returns its entry there.

    Raises: InputError where it is damaged; HeadswapError where the operating system refuses.
    """
    found = hashlib.sha256()
    with (
        (source / entry.path).open("rb") as original,
        written_aside(target / path) as partial,
        partial.open("wb") as copy,
    ):
        while chunk := original.read(_CHUNK_BYTES):
            found.update(chunk)
            copy.write(chunk)
        if found.hexdigest() != entry.sha256:
            raise damaged(source / entry.path)
    return FileEntry(path, entry.rows, entry.bytes, entry.sha256, entry.owner)


def rewrite_file(
    source: Path,
    entry: FileEntry,
    target: Path,
    path: str,
    table: StoredTable,
    precision: str,
    change: Change,
) -> FileEntry | None:
    """Writes a file again, each row group changed; returns its entry, None where no row is left.

    A row group of which no row is left is left out.

    Raises: as `copy_file`.
    """
    if not entry.is_intact(source):
        raise damaged(source / entry.path)
    n_rows = 0
    with (
        open_file(source / entry.path, table) as file,
        table_file(target / path, table, precision) as writer,
    ):
        for group in range(file.metadata.num_row_groups):
            rows = change(file.read_row_group(group))
            if len(rows):
                writer.write_table(rows, row_group_size=len(rows))
                n_rows += len(rows)
    if not n_rows:
        (target / path).unlink()
        return None
    return file_entry(target, path, n_rows, entry.owner)


class Renumbering:
    """Prompts that get other numbers, in every column of every table that refers to them.

    ids: from each old prompt_id to the new one.
    """

    def __init__(self, ids: Mapping[int, int]) -> None:
        ordered = sorted(ids.items())
        self._old = np.array([old for old, _ in ordered], dtype=np.int64)
        self._new = np.array([new for _, new in ordered], dtype=np.int64)
        self.is_needed = bool((self._old != self._new).any())

    def columns(self, table: StoredTable) -> list[str]:
        """The columns of a table that hold prompt ids."""
        columns = table.columns
        return [c.name for c in columns if target_of(table, c) == "prompts.prompt_id"]

    def changes(self, table: StoredTable) -> bool:
        """Whether rows of a table change at all."""
        return self.is_needed and bool(self.columns(table))

    def apply(self, table: StoredTable, rows: pa.Table) -> pa.Table:
        """The rows with the new numbers, in the order of the table's grain where that changes."""
        is_ordered = True
        for name in self.columns(table):
            index, field = rows.schema.get_field_index(name), rows.schema.field(name)
            old = rows[name].combine_chunks()
            known = old.drop_null().to_numpy()
            new = self._new[np.searchsorted(self._old, known)]
            is_ordered = is_ordered and _keeps_order(known, new)
            values = np.zeros(len(old), dtype=np.int64)
            is_there = old.is_valid().to_numpy(zero_copy_only=False)
            values[is_there] = new
            array = pa.array(values, mask=~is_there).cast(field.type)
            rows = rows.set_column(index, field, array)
        return rows if is_ordered else sorted_by_grain(table, rows)


def _keeps_order(old: NDArray[np.int64], new: NDArray[np.int64]) -> bool:
    """Whether of two numbers the one that was smaller is the smaller one still."""
    _, first = np.unique(old, return_index=True)
    return bool((np.diff(new[first]) > 0).all())


def sorted_by_grain(table: StoredTable, rows: pa.Table) -> pa.Table:
    """The rows in the order of the table's grain."""
    keys = {
        name: rows[name].cast(pa.string())
        if pa.types.is_dictionary(rows[name].type)
        else rows[name]
        for name in table.grain
    }
    order = pc.sort_indices(pa.table(keys), sort_keys=[(name, "ascending") for name in keys])
    return rows.take(order)


def distinct_rows(table: StoredTable, parts: Sequence[pa.Table], names: Iterable[Path]) -> pa.Table:
    """The rows of several datasets, one that several hold once, in the order of the grain.

    names: the datasets, for messages.

    Raises: InputError where two say different things of one row.
    """
    numbered = [
        part.append_column("_part", pa.array(np.full(len(part), number, dtype=np.int32)))
        for number, part in enumerate(parts)
    ]
    rows = pa.concat_tables(numbered)
    keys = [(name, "ascending") for name in (*table.grain, "_part")]
    rows = rows.take(pc.sort_indices(rows, sort_keys=keys)).combine_chunks()
    is_repeated = np.ones(max(len(rows) - 1, 0), dtype=bool)
    for name in table.grain:
        is_repeated &= _equals_next(rows[name])
    for column in table.columns:
        if column.name not in table.grain and not column.may_differ:
            differs = np.flatnonzero(is_repeated & ~_equals_next(rows[column.name]))
            if len(differs):
                raise _difference(table, column, rows, int(differs[0]), list(names))
    keep = np.concatenate([[True], ~is_repeated]) if len(rows) else np.zeros(0, dtype=bool)
    return rows.filter(pa.array(keep)).drop_columns(["_part"])


def _equals_next(values: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Whether each value but the last is the same as the next; null is the same as null."""
    if pa.types.is_nested(values.type):
        listed = values.to_pylist()
        pairs = itertools.pairwise(listed)
        return np.array([one == other for one, other in pairs], dtype=bool)
    one, other = values.slice(0, max(len(values) - 1, 0)), values.slice(1)
    is_equal = pc.fill_null(pc.equal(one, other), False)
    both_null = pc.and_(pc.is_null(one), pc.is_null(other))
    found: NDArray[np.bool_] = pc.or_(is_equal, both_null).to_numpy().astype(bool)
    return found


def _difference(
    table: StoredTable, column: StoredColumn, rows: pa.Table, place: int, names: Sequence[Path]
) -> InputError:
    one, other = rows.slice(place, 2).to_pylist()
    key = ", ".join(f"{name} {one[name]}" for name in table.grain)
    return InputError(
        f"{names[one['_part']]} and {names[other['_part']]} do not fit: the table {table.name} has "
        f"the {column.name} {one[column.name]!r:.70} and {other[column.name]!r:.70} of {key}"
    )


def read_rows(source: Path, entries: Iterable[FileEntry]) -> pa.Table:
    """All rows of some files in memory.

    Raises: InputError where one is damaged.
    """
    for entry in entries:
        if not entry.is_intact(source):
            raise damaged(source / entry.path)
    return pa.concat_tables(pq.read_table(source / entry.path) for entry in entries)
