"""Attention rows against what their prompts' tokens say must be there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ingest.dataset.manifest import FileEntry, ModelEntry
from ingest.dataset.writer import Triangle

if TYPE_CHECKING:
    from ingest.dataset.verification import Verification

# How far the weights of a query may sum from 1: what the model's own arithmetic leaves, and what
# storing them in half precision rounds away.
TOLERANCES = {"float32": 1e-4, "float16": 2e-3, "bfloat16": 2e-2}
_NUMBERS = ["layer", "head", "prompt_id", "query", "key", "weight"]


class AttentionVerifier:
    """Checks attention files: each must hold every query and key of its prompts, head by head."""

    def __init__(self, verification: Verification) -> None:
        self._verification = verification
        self._dataset = verification.dataset
        self._rows, self._sums = verification.checks["rows"], verification.checks["sums"]

    def verify(self, model: ModelEntry, entries: Sequence[FileEntry], is_whole: bool) -> None:
        """Checks the readable files of one model; is_whole: whether these are all of its files."""
        shape = self._verification.shape_of(model.name)
        layers = model.stored_layers(shape["n_layers"])
        tokens = self._verification.small_table("tokens")
        own = tokens.filter(pc.equal(tokens["tokenizer"], model.tokenizer))
        ids, counts = np.unique(own["prompt_id"].to_numpy(), return_counts=True)
        lengths: dict[int, int] = dict(zip(ids.tolist(), counts.tolist(), strict=True))
        seen: list[int] = []
        tolerance = max(TOLERANCES.get(kind, 1e-4) for kind in (model.dtype, model.precision))
        self._n_rows, self._largest_error = 0, 0.0
        for entry in entries:
            prompts = self._verify_file(entry, shape, layers, lengths, tolerance)
            is_whole = is_whole and prompts is not None
            seen += prompts or []
        if is_whole:
            folder = f"attention/{model.name}"
            missing = sorted(lengths.keys() - set(seen))
            self._rows.record(folder, f"has nothing of prompt {missing[0]}" if missing else None)
            is_double = len(set(seen)) < len(seen)
            self._rows.record(folder, "has a prompt in two files" if is_double else None)
        self._sums.measured.append(
            f"{model.name}: {self._n_rows:,} rows, the weights of a query sum to 1 within "
            f"{self._largest_error:.1e} (at most {tolerance:.0e})"
        )

    def _verify_file(
        self,
        entry: FileEntry,
        shape: dict[str, Any],
        layers: Sequence[int],
        lengths: dict[int, int],
        tolerance: float,
    ) -> list[int] | None:
        """Checks one file and returns its prompts, None where they cannot be told.

        layers: those that the file must hold.
        """
        n_heads = shape["n_heads"]
        file = pq.ParquetFile(self._dataset / entry.path, read_dictionary=["model"])
        sizes = {file.metadata.row_group(n).num_rows for n in range(file.metadata.num_row_groups)}
        if file.metadata.num_row_groups != len(layers) * n_heads or len(sizes) != 1:
            self._rows.record(entry.path, "does not have one row group a head, all of one size")
            return None
        # Before anything is read: a small file may claim rows that would fill any memory.
        if sizes.pop() > sum(length * length for length in lengths.values()):
            self._rows.record(entry.path, "has more rows than its prompts have queries and keys")
            return None
        if _models_in(file) != {shape["model"]}:
            self._rows.record(entry.path, f"has rows of another model than {shape['model']!r}")
            return None
        stored = file.read_row_group(0, columns=["prompt_id"])["prompt_id"].to_numpy()
        prompts: list[int] = np.unique(stored).tolist()
        if unknown := [prompt for prompt in prompts if prompt not in lengths]:
            self._rows.record(entry.path, f"has rows of the unknown prompt {unknown[0]}")
            return None
        triangle = Triangle(prompts, [lengths[prompt] for prompt in prompts], shape["is_causal"])
        is_first = np.diff(triangle.query, prepend=-1) != 0
        is_first |= np.diff(triangle.prompt_id, prepend=-1) != 0
        starts = np.flatnonzero(is_first)
        for group in range(file.metadata.num_row_groups):
            layer, head = layers[group // n_heads], group % n_heads
            table = file.read_row_group(group, columns=_NUMBERS)
            columns = {name: table[name].to_numpy() for name in table.column_names}
            is_complete = _is_complete(columns, layer, head, triangle)
            problem = None if is_complete else f"L{layer}H{head} lacks rows, or has others"
            if self._rows.record(entry.path, problem):
                problem = sum_problem(columns["weight"], starts, tolerance)
                is_sound = self._sums.record(
                    entry.path, f"L{layer}H{head} {problem}" if problem else None
                )
                if is_sound:
                    self._n_rows += len(table)
                    error = largest_error(columns["weight"], starts)
                    self._largest_error = max(self._largest_error, error)
            self._verification.on_rows(len(table))
        return prompts


def _models_in(file: pq.ParquetFile) -> set[str]:
    """The models that rows name, read one row group at a time: as text they would fill memory."""
    groups = range(file.metadata.num_row_groups)
    columns = (file.read_row_group(group, columns=["model"])["model"] for group in groups)
    return {name for column in columns for name in pc.unique(column).to_pylist()}


def _is_complete(
    columns: dict[str, NDArray[Any]], layer: int, head: int, triangle: Triangle
) -> bool:
    """Whether the rows of one head are all its prompts' queries and keys, in order."""
    indices = {"prompt_id": triangle.prompt_id, "query": triangle.query, "key": triangle.key}
    return (
        bool((columns["layer"] == layer).all())
        and bool((columns["head"] == head).all())
        and all(np.array_equal(columns[name], index) for name, index in indices.items())
    )


def sum_problem(
    weights: NDArray[np.float32], starts: NDArray[np.int64], tolerance: float
) -> str | None:
    """What is wrong with the weights of one head; starts: the first row of each query."""
    if not np.isfinite(weights).all():
        return "has weights that are no finite numbers"
    if (weights < 0).any():
        return "has weights below 0"
    error = largest_error(weights, starts)
    if error > tolerance:
        return f"has a query whose weights sum to 1 only within {error:.1e}"
    return None


def largest_error(weights: NDArray[np.float32], starts: NDArray[np.int64]) -> float:
    """The farthest that a query's weights sum from 1; starts: the first row of each query."""
    return float(np.abs(np.add.reduceat(weights.astype(np.float64), starts) - 1).max())
