"""Attention in a table of the user's: Parquet or CSV, one row a weight, under any column names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ingest.kernel.errors import InputError
from ingest.transfer.imports.prompt_arrays import PromptArrays, Weights

SUFFIXES = (".parquet", ".csv")
_INDICES = ("layer", "head", "query", "key")
_REQUIRED = (*_INDICES, "weight")
# prompt_id: which prompt a row is of. model: which model. token: the text of the query's token.
_OPTIONAL = ("prompt_id", "model", "token")
COLUMNS = (*_REQUIRED, *_OPTIONAL)


def read_table_file(path: Path, columns: Mapping[str, str], model: str) -> list[PromptArrays]:
    """The prompts of a table, in the order of their prompt_id; the table is held in memory.

    columns: the table's name of each of COLUMNS, the same where it is not there. model: whose rows
    are taken, where the table has a column for it. Weights that have no row are 0.

    Raises: InputError where it cannot be read, lacks a column, or has rows that cannot be used.
    """
    table = _read(path)
    names = {name: columns.get(name, name) for name in COLUMNS}
    for name, theirs in names.items():
        if theirs not in table.column_names and (name in _REQUIRED or name in columns):
            raise InputError(
                f"{path} has no column {theirs!r}",
                hint=f"it has {', '.join(table.column_names)[:300]}; say which one is the {name} "
                f"with --column {name}=...",
            )
        if table.column_names.count(theirs) > 1:
            raise InputError(f"{path} has two columns {theirs!r}")
    wanted = dict.fromkeys(names.values())
    table = table.select([theirs for theirs in wanted if theirs in table.column_names])
    if names["model"] in table.column_names:
        table = _of_model(path, table, names["model"], model)
    if not len(table):
        raise InputError(f"{path} has no rows")
    indices = {name: _whole_numbers(path, table, names[name]) for name in _INDICES}
    weights = _weights(path, table, names["weight"])
    prompts, numbers = _prompts(path, table, names["prompt_id"])
    tokens = table[names["token"]] if names["token"] in table.column_names else None
    n_layers, n_heads = (int(indices[name].max()) + 1 for name in ("layer", "head"))
    order = np.argsort(numbers, kind="stable")
    ends = np.cumsum(np.bincount(numbers, minlength=len(prompts)))
    found = []
    for number, rows in enumerate(np.split(order, ends[:-1])):
        where = f"{path}, prompt {prompts[number]}" if len(prompts) > 1 else str(path)
        own = {name: values[rows] for name, values in indices.items()}
        length = int(max(own["query"].max(), own["key"].max())) + 1
        if len(rows) < n_layers * n_heads * length:
            raise InputError(
                f"{where}: {len(rows):,} rows are too few for {n_layers} layers of {n_heads} heads "
                f"on {length:,} tokens, each of which attends to something"
            )
        texts = None if tokens is None else _texts(where, tokens.take(rows), own["query"], length)
        read = partial(_pattern, where, own, weights[rows], (n_layers, n_heads, length, length))
        found.append(PromptArrays(where, texts, None, read))
    return found


def _read(path: Path) -> pa.Table:
    try:
        if path.suffix == ".csv":
            from pyarrow import csv

            return csv.read_csv(path)
        import pyarrow.parquet as pq

        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        kind = "CSV" if path.suffix == ".csv" else "Parquet"
        raise InputError(
            f"{path} is no readable {kind} file: {str(error).splitlines()[0]}"
        ) from error


def _of_model(path: Path, table: pa.Table, column: str, model: str) -> pa.Table:
    names = table[column].cast(pa.string())
    rows = table.filter(pc.equal(names, model))
    if not len(rows):
        held = ", ".join(map(str, pc.unique(names).to_pylist()[:12]))
        raise InputError(
            f"{path} has no rows of the model {model!r}", hint=f"it has {held}; see --model"
        )
    return rows


def _whole_numbers(path: Path, table: pa.Table, name: str) -> NDArray[np.int64]:
    try:
        values = table[name].cast(pa.int64())
    except pa.ArrowException as error:
        raise InputError(f"{path}: the column {name!r} does not hold whole numbers") from error
    if values.null_count:
        raise InputError(f"{path}: the column {name!r} lacks values")
    found: NDArray[np.int64] = values.to_numpy()
    if found.min() < 0 or found.max() >= 2**31:
        raise InputError(f"{path}: the column {name!r} has a number that is no 0-based index")
    return found


def _weights(path: Path, table: pa.Table, name: str) -> NDArray[Any]:
    values = table[name]
    if not pa.types.is_floating(values.type) and not pa.types.is_integer(values.type):
        raise InputError(f"{path}: the column {name!r} does not hold numbers")
    if values.null_count:
        raise InputError(f"{path}: the column {name!r} lacks values")
    if pa.types.is_integer(values.type):
        values = values.cast(pa.float64())
    found: NDArray[Any] = values.to_numpy()
    return found


def _prompts(path: Path, table: pa.Table, name: str) -> tuple[list[Any], NDArray[np.int64]]:
    """What the prompts are called, in order, and the number of each row's prompt."""
    if name not in table.column_names:
        return [None], np.zeros(len(table), dtype=np.int64)
    values = table[name]
    if values.null_count:
        raise InputError(f"{path}: the column {name!r} lacks values")
    called = pc.unique(values).sort() if hasattr(pc.unique(values), "sort") else pc.unique(values)
    numbers: NDArray[np.int64] = pc.index_in(values, value_set=called).to_numpy().astype(np.int64)
    return called.to_pylist(), numbers


def _texts(
    where: str, tokens: pa.ChunkedArray, queries: NDArray[np.int64], length: int
) -> tuple[str, ...]:
    """The text of each position, which stands in each row of which it is the query."""
    positions, first, of_row = np.unique(queries, return_index=True, return_inverse=True)
    texts = tokens.cast(pa.string()).to_numpy()
    chosen = texts[first]
    if len(positions) != length or any(text is None for text in chosen):
        raise InputError(f"{where}: a position has no token")
    if (texts != chosen[of_row.ravel()]).any():
        raise InputError(f"{where}: a position has two tokens; the token is that of the query")
    return tuple(str(text) for text in chosen)


def _pattern(
    where: str,
    indices: Mapping[str, NDArray[np.int64]],
    weights: NDArray[Any],
    shape: tuple[int, int, int, int],
) -> Weights:
    """The weights `[layer, head, query, key]` of one prompt's rows."""
    places = np.ravel_multi_index([indices[name] for name in _INDICES], shape)
    values = np.zeros(shape, dtype=weights.dtype)
    if len(np.unique(places)) < len(places):
        raise InputError(f"{where}: two rows are of one layer, head, query and key")
    values.reshape(-1)[places] = weights
    return Weights(values, weights.dtype.name)
