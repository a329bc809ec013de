"""How attention rows lie in a Parquet file: `python -m tests.benchmarks.layout` prints the table.

Every layout holds the same rows of a softmax, in one file. Each but the first differs from what
headswap writes in the one thing that it is named after.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.dataset.relations import STORED_TABLES
from ingest.dataset.schemas import schema_of
from ingest.dataset.writer import ATTENTION_OPTIONS, Triangle
from tests.benchmarks.measure import by_turns

N_LAYERS, N_HEADS = 6, 8
SCAN = "select layer, head, sum(weight) from read_parquet('{}') group by all"
ONE_HEAD = "select sum(weight) from read_parquet('{}') where layer = 3 and head = 5"
AS_IS = "as written"


def drawn_rows(n_prompts: int, precision: str) -> tuple[pa.Table, int]:
    """Rows of prompts of 30 to 64 tokens, as in a dataset, and how many of them a head has."""
    generator = np.random.default_rng(0)
    lengths = [int(n) for n in generator.integers(30, 65, n_prompts)]
    triangle = Triangle(range(n_prompts), lengths, is_causal=True)
    starts = np.flatnonzero(triangle.key == 0)
    counts = np.diff([*starts, len(triangle)])
    weights = np.exp(generator.normal(0, 2, (N_LAYERS * N_HEADS, len(triangle))))
    weights /= np.repeat(np.add.reduceat(weights, starts, axis=1), counts, axis=1)
    layer, head = np.indices((N_LAYERS, N_HEADS), dtype=np.int16).reshape(2, -1)
    n_heads = N_LAYERS * N_HEADS
    columns = [np.repeat(layer, len(triangle)), np.repeat(head, len(triangle))]
    columns += [np.tile(c, n_heads) for c in (triangle.prompt_id, triangle.query, triangle.key)]
    columns.append(weights.reshape(-1).astype(precision))
    names = pa.array(["standard"]).take(pa.array(np.zeros(len(columns[0]), dtype=np.int32)))
    schema = schema_of(STORED_TABLES["attention"], precision)
    return pa.Table.from_arrays([names, *columns], schema=schema), len(triangle)


def layouts(rows_a_head: int, precision: str) -> dict[str, dict[str, Any]]:
    """What each layout hands to the writer."""
    as_is = {**ATTENTION_OPTIONS, "row_group_size": rows_a_head}
    runs = ["model", "layer", "head", "prompt_id", "query"]
    deltas = {
        "use_dictionary": runs,
        "column_encoding": {"key": "DELTA_BINARY_PACKED", "weight": "PLAIN"},
    }
    made = {
        AS_IS: as_is,
        "row group: a layer": as_is | {"row_group_size": rows_a_head * N_HEADS},
        "row group: 122,880 rows": as_is | {"row_group_size": 122_880},
        "dictionaries, deltas for the key": as_is | deltas,
        "dictionaries, also for the key": as_is | {"use_dictionary": [*runs, "key"]},
        "zstd, level 3": as_is | {"compression_level": 3},
        "lz4": as_is | {"compression": "lz4", "compression_level": None},
        "not compressed": as_is | {"compression": "none", "compression_level": None},
        "no page index": as_is | {"write_page_index": False},
        "no statistics": as_is | {"write_statistics": False, "write_page_index": False},
    }
    # Of half precision DuckDB does not read it.
    if precision == "float32":
        made["weight: bytes apart"] = as_is | {"column_encoding": {"weight": "BYTE_STREAM_SPLIT"}}
    return made


def main(n_prompts: int = 128, rounds: int = 7) -> None:
    """Prints a table: bytes a row, then the best times as shares of the first layout's."""
    for precision in ("float32", "float16"):
        table, rows_a_head = drawn_rows(n_prompts, precision)
        with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
            connection.execute("set threads = 1")
            chosen = layouts(rows_a_head, precision)
            paths = {name: Path(folder) / f"{n}.parquet" for n, name in enumerate(chosen)}
            writes = {
                name: partial(pq.write_table, table, paths[name], **options)
                for name, options in chosen.items()
            }
            written = by_turns(writes, rounds)
            read = [
                by_turns(
                    {
                        name: partial(_ask, connection, query.format(path))
                        for name, path in paths.items()
                    },
                    rounds,
                )
                for query in (SCAN, ONE_HEAD)
            ]
            print(f"\n{table.num_rows:,} rows, {precision}\n")
            print("| layout | bytes a row | write | scan | one head |\n|---|---|---|---|---|")
            for name, path in paths.items():
                shares = [min(found[name]) / min(found[AS_IS]) for found in (written, *read)]
                size = path.stat().st_size / table.num_rows
                print(f"| {name} | {size:.3f} | " + " | ".join(f"{s:.2f}" for s in shares) + " |")
            rate = table.num_rows / min(written[AS_IS]) / 1e6
            print(f"\n`{AS_IS}`: {rate:.1f} M rows a second, one thread", flush=True)


def _ask(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    connection.execute(query).fetchall()


if __name__ == "__main__":
    main()
