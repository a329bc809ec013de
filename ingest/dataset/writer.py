"""Writing the Parquet files of a dataset: small tables at once, attention layer by layer."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.dataset.manifest import FileEntry
from ingest.dataset.relations import STORED_TABLES, StoredTable
from ingest.dataset.schemas import schema_of
from ingest.kernel.errors import InputError
from ingest.kernel.files import sha256_of, written_aside

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FORMAT_OPTIONS: dict[str, Any] = {
    "version": "2.6",
    "compression": "zstd",
    "compression_level": 1,
    "write_statistics": True,
    "write_page_index": True,
}
# Plain all through: zstd finds the runs and steps of the index columns by itself, and dictionaries
# or deltas before it only cost time (docs/log.md). The model's name alone is a dictionary: one
# entry a row group. No Arrow schema is stored, so that readers see the text that it stands for.
ATTENTION_OPTIONS: dict[str, Any] = _FORMAT_OPTIONS | {
    "use_dictionary": ["model"],
    "store_schema": False,
}
_ROWS_AT_A_TIME = 1 << 14  # of a small table, and in its row groups


def write_table(
    dataset: Path,
    path: str,
    table_name: str,
    rows: Iterable[dict[str, Any]],
    owner: str | None = None,
) -> FileEntry:
    """Writes one small table as one file and returns its manifest entry.

    Rows are taken as they come, some thousand at a time. owner: as in FileEntry.
    """
    schema, remaining, n_rows = schema_of(STORED_TABLES[table_name]), iter(rows), 0
    with (
        written_aside(dataset / path) as partial,
        pq.ParquetWriter(partial, schema, **_FORMAT_OPTIONS) as writer,
    ):
        while chunk := list(itertools.islice(remaining, _ROWS_AT_A_TIME)):
            writer.write_table(pa.Table.from_pylist(chunk, schema=schema))
            n_rows += len(chunk)
    return file_entry(dataset, path, n_rows, owner)


@contextmanager
def table_file(path: Path, table: StoredTable, precision: str) -> Iterator[pq.ParquetWriter]:
    """Opens a file of a table for rows as `open_file` reads them, a row group at a time.

    It stands at `path` once the block ends without error. precision: of the stored weights.

    Raises: HeadswapError where the operating system refuses.
    """
    schema, options = schema_of(table, precision), _FORMAT_OPTIONS
    if table.name == "attention":
        schema, options = _with_dictionary(schema), ATTENTION_OPTIONS
    with written_aside(path) as partial, pq.ParquetWriter(partial, schema, **options) as writer:
        yield writer


def open_file(path: Path, table: StoredTable) -> pq.ParquetFile:
    """Opens a file of a table so that its row groups can be written again by `table_file`."""
    names = ["model"] if table.name == "attention" else []
    return pq.ParquetFile(path, read_dictionary=names)


def _with_dictionary(schema: pa.Schema) -> pa.Schema:
    """The schema of attention with the model's name as a dictionary."""
    name = pa.field("model", pa.dictionary(pa.int32(), pa.string()), nullable=False)
    return schema.set(schema.get_field_index("model"), name)


def file_entry(dataset: Path, path: str, rows: int, owner: str | None = None) -> FileEntry:
    """The manifest entry of a file that was just written."""
    target = dataset / path
    return FileEntry(path, rows, target.stat().st_size, sha256_of(target), owner)


class Triangle:
    """The stored cells of a batch of prompts: which (prompt, query, key) each row of a head is.

    prompt_ids, lengths: one entry a prompt, prompt ids ascending. Causal models store key <= query,
    others the full square.
    """

    def __init__(self, prompt_ids: Sequence[int], lengths: Sequence[int], is_causal: bool) -> None:
        if list(prompt_ids) != sorted(set(prompt_ids)):
            raise ValueError("prompt ids must ascend")
        parts = [_cells(length, is_causal) for length in lengths]
        counts = [len(queries) for queries, _ in parts]
        self.batch_index = np.repeat(np.arange(len(parts), dtype=np.int32), counts)
        self.prompt_id = np.asarray(prompt_ids, dtype=np.int32)[self.batch_index]
        self.query = np.concatenate([queries for queries, _ in parts])
        self.key = np.concatenate([keys for _, keys in parts])

    def __len__(self) -> int:
        return len(self.query)

    def flat_index(self, n_heads: int, width: int) -> NDArray[np.int64]:
        """Where each row lies in head 0 of a pattern tensor `[prompt, head, query, key]`, flat.

        Head h has them `h * width * width` further on. width: queries, and keys, of the tensor.
        """
        index = self.batch_index.astype(np.int64) * n_heads
        flat: NDArray[np.int64] = (index * width + self.query) * width + self.key
        return flat


def _cells(length: int, is_causal: bool) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    cells = np.tril_indices(length) if is_causal else np.indices((length, length)).reshape(2, -1)
    return cells[0].astype(np.int32), cells[1].astype(np.int32)


class AttentionFile:
    """An attention file that is being written layer by layer; see `attention_file`."""

    def __init__(self, writer: pq.ParquetWriter, triangle: Triangle, model: str) -> None:
        self.rows = 0
        self._writer = writer
        self._dtype = writer.schema.field("weight").type.to_pandas_dtype()
        # The same for every head of every layer, so built once a file.
        self._index = [pa.array(x) for x in (triangle.prompt_id, triangle.query, triangle.key)]
        numbers = pa.array(np.zeros(len(triangle), dtype=np.int32))
        self._model = pa.DictionaryArray.from_arrays(numbers, pa.array([model]))

    def write_layer(self, layer: int, weights: NDArray[np.float32]) -> None:
        """Writes the weights `[head, row]` (float32) of one layer, layers in ascending order.

        Raises: InputError where a weight is NaN or infinite.
        """
        if not np.isfinite(weights).all():
            raise InputError(
                f"layer {layer} gives attention weights that are not finite",
                hint="the model's weights are damaged, or overflow in this dtype",
            )
        n_rows = weights.shape[1]
        for head, row_group in enumerate(weights.astype(self._dtype, copy=False)):
            place = [pa.repeat(pa.scalar(index, pa.int16()), n_rows) for index in (layer, head)]
            columns = [self._model, *place, *self._index, pa.array(row_group)]
            table = pa.Table.from_arrays(columns, schema=self._writer.schema)
            self._writer.write_table(table, row_group_size=n_rows)
        self.rows += weights.size


@contextmanager
def attention_file(
    path: Path, triangle: Triangle, model: str, precision: str = "float32"
) -> Iterator[AttentionFile]:
    """Opens an attention file for writing; it stands at `path` once the block ends without error.

    The rows are sorted by layer, head, prompt_id, query, key; a row group holds one head of one
    layer. model: the name that every row carries; precision: of PRECISIONS.

    Raises: HeadswapError where the operating system refuses.
    """
    with table_file(path, STORED_TABLES["attention"], precision) as writer:
        yield AttentionFile(writer, triangle, model)
