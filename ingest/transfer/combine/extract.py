"""A part of a dataset as a dataset of its own: some of its models, prompts or layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from ingest.dataset.commit import commit
from ingest.dataset.manifest import FileEntry, Manifest, ModelEntry, Part
from ingest.dataset.reader import Dataset, open_dataset
from ingest.dataset.relations import STORED_TABLES, StoredTable
from ingest.kernel.errors import InputError
from ingest.kernel.meant import choice_hint
from ingest.kernel.progress import Progress
from ingest.transfer.combine.merge import with_prompts_hash
from ingest.transfer.combine.rows import copy_file, rewrite_file, target_of
from ingest.transfer.new_dataset import check_new, new_dataset

T = TypeVar("T")


@dataclass(frozen=True)
class Selection:
    """What is taken out of a dataset; None for all of it.

    models: names. prompts: prompt ids. pairs: pair ids, each of which takes all of its variants.
    layers: 0-based.
    """

    models: tuple[str, ...] | None = None
    prompts: tuple[int, ...] | None = None
    pairs: tuple[str, ...] | None = None
    layers: tuple[int, ...] | None = None


def extract(source: Path, out: Path, selection: Selection) -> Manifest:
    """Writes what is selected of a dataset as a new dataset; the source is only read.

    Prompts keep their ids, so that `merge` puts parts together again. The manifest says of what it
    is a part.

    Raises: InputError where nothing is left out, something does not exist, the source is damaged or
    `out` exists; DatasetError where the source cannot be read; HeadswapError where the disk lacks
    the room or the operating system refuses. Then nothing is left at `out`.
    """
    check_new(out)
    dataset = open_dataset(source)
    if out.resolve().is_relative_to(source.resolve()):
        raise InputError(f"{out} lies in {source}", hint="give a folder outside with --out")
    extractor = _Extractor(dataset, selection)
    files = dataset.manifest.files()
    with (
        new_dataset(out, sum(entry.bytes for entry in files)) as folder,
        Progress("extracting", sum(entry.rows for entry in files), "rows") as progress,
    ):
        manifest = extractor.write(folder, progress.add)
        commit(folder, manifest)
    return manifest


class _Extractor:
    """Takes a selection out of a dataset, table by table."""

    def __init__(self, dataset: Dataset, selection: Selection) -> None:
        self._dataset, self._manifest = dataset, dataset.manifest
        names = [model.name for model in self._manifest.models]
        chosen = chosen_of("model", names, selection.models, dataset.path)
        self._models = [m for m in self._manifest.models if m.name in chosen]
        self._prompts, n_prompts = self._chosen_prompts(selection)
        self._stored, self._layers = self._chosen_layers(selection.layers)
        left_out = {
            "models": [name for name in names if name not in chosen],
            "prompts": [f"{n_prompts - len(self._prompts)} of {n_prompts}"],
            "layers": [
                layers_text(model, layers)
                for model, stored in self._stored.items()
                if (layers := [layer for layer in stored if layer not in self._layers[model]])
            ],
        }
        self._has_all_prompts = len(self._prompts) == n_prompts
        if self._has_all_prompts:
            del left_out["prompts"]
        self._part = Part(self._manifest.sha256(), left_out_lines(left_out))
        if not self._part.left_out:
            raise InputError(
                "nothing is left out", hint="choose with --models, --prompts, --pairs or --layers"
            )

    def _chosen_prompts(self, selection: Selection) -> tuple[list[int], int]:
        rows = self._dataset.read_table("prompts").select(["prompt_id", "pair_id"]).to_pylist()
        ids = [row["prompt_id"] for row in rows]
        pairs = [row["pair_id"] for row in rows]
        path = self._dataset.path
        by_id = set(chosen_of("prompt", ids, selection.prompts, path))
        by_pair = set(chosen_of("pair", pairs, selection.pairs, path))
        chosen = [i for i, p in zip(ids, pairs, strict=True) if i in by_id and p in by_pair]
        if not chosen:
            raise InputError("no prompt is chosen by both --prompts and --pairs")
        return sorted(chosen), len(ids)

    def _chosen_layers(
        self, layers: Sequence[int] | None
    ) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
        """The layers of each chosen model that are stored, and those that are kept."""
        rows = self._dataset.read_table("models").select(["model", "n_layers"]).to_pylist()
        n_layers = {row["model"]: row["n_layers"] for row in rows}
        stored = {m.name: m.stored_layers(n_layers[m.name]) for m in self._models}
        kept = {
            name: sorted(chosen_of("layer", held, layers, f"{name} in {self._dataset.path}"))
            for name, held in stored.items()
        }
        return stored, kept

    def write(self, folder: Path, on_rows: Callable[[int], None]) -> Manifest:
        """Writes the files into a folder and returns the manifest that names them."""
        tables = {}
        for name in self._manifest.tables:
            if entries := self._write_table(STORED_TABLES[name], folder, on_rows):
                tables[name] = entries
        tokenizers = {model.tokenizer for model in self._models}
        part = replace(
            self._manifest,
            tables=tables,
            tokenizers={n: sha for n, sha in self._manifest.tokenizers.items() if n in tokenizers},
            models=tuple(map(self._with_layers, self._models)),
            part_of=self._part,
        )
        return with_prompts_hash(part, folder, [self._manifest])

    def _has_all_layers(self, model: str) -> bool:
        return list(self._stored[model]) == list(self._layers[model])

    def _with_layers(self, model: ModelEntry) -> ModelEntry:
        if self._has_all_layers(model.name):
            return model
        return replace(model, layers=tuple(self._layers[model.name]))

    def _write_table(
        self, table: StoredTable, folder: Path, on_rows: Callable[[int], None]
    ) -> tuple[FileEntry, ...]:
        made: list[FileEntry] = []
        numbers: Counter[str | None] = Counter()  # of files so far, a folder
        for entry in self._manifest.files_of(table.name):
            owner = entry.owner if table.split == "model" else None
            path = table.path(numbers[owner], entry.owner)
            if kept := self._write_file(table, entry, folder, path, on_rows):
                made.append(kept)
                numbers[owner] += 1
        return tuple(made)

    def _write_file(
        self,
        table: StoredTable,
        entry: FileEntry,
        folder: Path,
        path: str,
        on_rows: Callable[[int], None],
    ) -> FileEntry | None:
        model = self._manifest.model(entry.owner or "")
        if table.split == "model" and model not in self._models:
            on_rows(entry.rows)
            return None

        source = self._dataset.path
        if self._is_whole(table, model):
            on_rows(entry.rows)
            return copy_file(source, entry, folder, path)

        def change(rows: pa.Table) -> pa.Table:
            on_rows(len(rows))
            return self._kept(table, entry.owner, rows)

        precision = model.precision if model else "float32"
        return rewrite_file(source, entry, folder, path, table, precision, change)

    def _is_whole(self, table: StoredTable, model: ModelEntry | None) -> bool:
        """Whether nothing is left out of a file of a model."""
        if model is None or model not in self._models:
            return False
        names = {target_of(table, column) for column in table.columns}
        is_of_all_prompts = self._has_all_prompts or "prompts.prompt_id" not in names
        is_of_all_layers = self._has_all_layers(model.name) or not table.layer_columns
        return is_of_all_prompts and is_of_all_layers

    def _kept(self, table: StoredTable, owner: str | None, rows: pa.Table) -> pa.Table:
        """The rows that are of the chosen models, tokenizers, prompts and layers."""
        chosen: dict[str, list[str] | list[int]] = {
            "models.model": [model.name for model in self._models],
            "prompts.prompt_id": self._prompts,
        }
        for column in table.columns:
            values: Sequence[str | int] | None = chosen.get(target_of(table, column))
            if table.split == "tokenizer" and column.name == "tokenizer":
                values = [model.tokenizer for model in self._models]
            if table.split == "model" and column.name in table.layer_columns:
                values = self._layers[owner or ""]
            if values is not None:
                rows = rows.filter(is_in(rows[column.name], values))
        return rows


def left_out_lines(lacking: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """What a part says of what it lacks, a line for each kind of thing of which it lacks some.

    >>> left_out_lines({"models": ["adhd"], "layers": []})
    ('models: adhd',)
    """
    return tuple(f"{what}: {', '.join(values)}" for what, values in lacking.items() if values)


def layers_text(model: str, layers: Sequence[int]) -> str:
    """Layers of a model as a part names them.

    >>> layers_text("adhd", [0, 3])
    'adhd: L0, L3'
    """
    return f"{model}: L{', L'.join(map(str, layers))}"


def is_in(values: pa.ChunkedArray, chosen: Sequence[str | int]) -> pa.ChunkedArray:
    """Whether each value is a chosen one, or null."""
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    plain = values.cast(kind) if kind != values.type else values
    return pc.or_(pc.is_in(plain, value_set=pa.array(chosen, kind)), pc.is_null(plain))


def chosen_of(
    what: str, there: Sequence[T], wanted: Iterable[T] | None, where: object
) -> Sequence[T]:
    """What was asked for, all where nothing was; InputError where it is not there."""
    if wanted is None:
        return there
    for value in wanted:
        if value not in there:
            known = [str(one) for one in dict.fromkeys(there)]
            hint = choice_hint(str(value), known, "it has")
            raise InputError(f"{where} has no {what} {value!r}", hint=hint)
    return list(wanted)
