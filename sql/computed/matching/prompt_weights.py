"""The attention of several models, prompt by prompt, out of their Parquet files.

A file holds some prompts of one model, and a row group one head of one layer; all row groups of a
file have the same (prompt_id, query, key) in the same order. So the places of the rows are read
once a file, and of every other row group only the weights.

The files of the first model set the pace. Of the other models, whose files may hold other sets of
prompts, the row groups with the prompts at hand are read, again if need be; memory is bounded by
the prompts at hand, of which there is one at least.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sql.computed.matching.head_products import PromptWeights

Integers = NDArray[np.int64]

# Weights `[head, cell]` of the prompts at hand.
_BYTES_AT_A_TIME = 256 << 20


@dataclass(frozen=True)
class ModelFiles:
    """Where the rows of one model lie: its attention files, in any order.

    layers: those that are stored, ascending.
    """

    model: str
    paths: Sequence[Path]
    layers: Sequence[int]
    n_heads: int


@dataclass(frozen=True)
class _File:
    """A file, and the rows of each wanted prompt in every row group."""

    path: Path
    rows: Mapping[int, slice]


@dataclass(frozen=True)
class _Cells:
    """Query and key of one prompt's rows, each `[row]`, sorted."""

    query: NDArray[np.int32]
    key: NDArray[np.int32]

    def places_of(self, other: _Cells) -> Integers:
        """Where the cells of `other` lie among these."""
        width = int(max(self.key.max(), other.key.max())) + 1
        codes = self.query.astype(np.int64) * width + self.key
        wanted = other.query.astype(np.int64) * width + other.key
        places = np.searchsorted(codes, wanted)
        if (np.take(codes, places, mode="clip") != wanted).any():
            raise ValueError("models have stored different queries and keys of a prompt")
        return places


def prompt_weights(
    models: Sequence[ModelFiles],
    roles: Mapping[int, NDArray[np.integer]],
    bytes_at_a_time: int = _BYTES_AT_A_TIME,
) -> Iterator[PromptWeights]:
    """Yields the wanted prompts that all models have, the heads of the models stacked in order.

    roles: of each wanted prompt the role of every token `[position]`, small integers from 0. Only
    prompts that all models cut into the same tokens may be wanted. Where one model stores all keys
    and another the keys up to the query, weights that are not stored are 0.

    Raises: ValueError where a file is not as the module's text says.
    """
    files = [[_opened(path, model, roles) for path in model.paths] for model in models]
    shared = set(roles).intersection(
        *({prompt for file in of_model for prompt in file.rows} for of_model in files)
    )
    n_heads = [len(model.layers) * model.n_heads for model in models]
    n_cells = bytes_at_a_time // (4 * sum(n_heads))
    for first in files[0]:
        prompts: list[int] = []
        room = n_cells
        for prompt in first.rows:
            if prompt not in shared:
                continue
            # As many as every key of every query, which is what the widest model may have.
            room -= len(roles[prompt]) ** 2
            if prompts and room < 0:
                yield from _read(prompts, files, n_heads, roles)
                prompts, room = [], n_cells - len(roles[prompt]) ** 2
            prompts.append(prompt)
        if prompts:
            yield from _read(prompts, files, n_heads, roles)


def _opened(path: Path, model: ModelFiles, roles: Mapping[int, NDArray[np.integer]]) -> _File:
    """Reads where the prompts of a file lie, and checks that each row group is one head."""
    with pq.ParquetFile(path) as file:
        names, layout = file.schema_arrow.names, file.metadata
        groups = [layout.row_group(group) for group in range(layout.num_row_groups)]
        places = [(layer, head) for layer in model.layers for head in range(model.n_heads)]
        if len(groups) != len(places) or len({group.num_rows for group in groups}) > 1:
            raise ValueError(f"{path} has not one row group for each of {len(places)} heads")
        for group, place in zip(groups, places, strict=True):
            for name, number in zip(("layer", "head"), place, strict=True):
                found = group.column(names.index(name)).statistics
                if found is None or (found.min, found.max) != (number, number):
                    raise ValueError(f"{path} has not {name} {number} where it should be")
        prompt_id = file.read_row_group(0, columns=["prompt_id"])["prompt_id"].to_numpy()
    starts = np.flatnonzero(np.diff(prompt_id, prepend=-1)).tolist()
    rows = {
        int(prompt_id[start]): slice(start, end)
        for start, end in zip(starts, [*starts[1:], len(prompt_id)], strict=True)
        if int(prompt_id[start]) in roles
    }
    return _File(path, rows)


def _read(
    prompts: Sequence[int],
    files: Sequence[Sequence[_File]],
    n_heads: Sequence[int],
    roles: Mapping[int, NDArray[np.integer]],
) -> Iterator[PromptWeights]:
    """Reads the prompts at hand of all models at once."""
    chosen = [[file for file in of_model if file.rows.keys() & prompts] for of_model in files]
    by_model = [_cells(prompts, of_model) for of_model in chosen]
    cells = {
        prompt: max((of_model[prompt] for of_model in by_model), key=lambda found: len(found.query))
        for prompt in prompts
    }
    ends = np.cumsum([len(cells[prompt].query) for prompt in prompts])
    starts = dict(zip(prompts, [0, *ends.tolist()], strict=False))
    weights = np.zeros((sum(n_heads), ends[-1]), dtype=np.float32)  # [head, cell]
    first = 0
    for of_model, own_cells, n in zip(chosen, by_model, n_heads, strict=True):
        for file in of_model:
            here = [prompt for prompt in prompts if prompt in file.rows]
            rows = np.concatenate([np.r_[file.rows[prompt]] for prompt in here])
            columns = np.concatenate(
                [starts[prompt] + cells[prompt].places_of(own_cells[prompt]) for prompt in here]
            )
            with pq.ParquetFile(file.path, memory_map=True) as opened:
                for head in range(n):
                    column = opened.read_row_group(head, columns=["weight"])["weight"]
                    weights[first + head, columns] = column.to_numpy()[rows]
        first += n
    for prompt in prompts:
        query, key = cells[prompt].query, cells[prompt].key
        role = roles[prompt]
        chunk = weights[:, starts[prompt] : starts[prompt] + len(query)]
        yield PromptWeights(prompt, chunk, query, key, role[query], role[key])


def _cells(prompts: Sequence[int], files: Sequence[_File]) -> dict[int, _Cells]:
    """The cells of the prompts at hand as one model has them."""
    found = {}
    for file in files:
        with pq.ParquetFile(file.path, memory_map=True) as opened:
            places = opened.read_row_group(0, columns=["query", "key"])
        query, key = places["query"].to_numpy(), places["key"].to_numpy()
        for prompt in file.rows.keys() & prompts:
            rows = file.rows[prompt]
            found[prompt] = _Cells(query[rows].copy(), key[rows].copy())
    return found
