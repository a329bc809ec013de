"""Some layers of a dataset on the hub: of attention no more is read there than their row groups."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.dataset.afar.address import CHANGED_SINCE, Address
from ingest.dataset.afar.files import PinnedFiles
from ingest.dataset.manifest import FileEntry, Manifest, ModelEntry
from ingest.dataset.relations import STORED_TABLES
from ingest.dataset.rules.attention_rows import TOLERANCES, sum_problem
from ingest.dataset.writer import file_entry, table_file
from ingest.kernel.errors import DatasetError
from ingest.kernel.files import writing_to
from ingest.kernel.progress import Progress
from ingest.transfer.combine.extract import chosen_of, is_in
from ingest.transfer.combine.rows import rewrite_file

_CUTS = "cuts"


def stored_layers(address: Address, whole: Manifest) -> dict[str, list[int]]:
    """The layers of each model that a dataset elsewhere stores.

    Raises: DatasetError where its table of models is not the one that the manifest names;
    HeadswapError where the network fails.
    """
    n_layers: dict[str, int] = {}
    for entry in whole.files_of("models"):
        text = address.whole(entry.path, entry.bytes)
        if hashlib.sha256(text).hexdigest() != entry.sha256:
            raise DatasetError(
                f"{address.text}: {entry.path} does not have the SHA-256 that the manifest says",
                hint=CHANGED_SINCE,
            )
        rows = pq.read_table(io.BytesIO(text), columns=["model", "n_layers"]).to_pylist()
        n_layers |= {row["model"]: row["n_layers"] for row in rows}
    return {m.name: m.stored_layers(n_layers[m.name]) for m in whole.models}


def with_layers(
    models: Sequence[ModelEntry], stored: dict[str, list[int]], layers: Sequence[int], where: object
) -> tuple[ModelEntry, ...]:
    """The models with these layers alone; where: the dataset, for messages.

    Raises: InputError where a model does not store one of them.
    """
    made = []
    for model in models:
        there = stored[model.name]
        kept = sorted(chosen_of("layer", there, layers, f"{model.name} in {where}"))
        made.append(model if kept == there else replace(model, layers=tuple(kept)))
    return tuple(made)


class LayerCut:
    """Makes files of models that lose layers; n_bytes: read at the hub, of files read in ranges.

    Files lie aside in a folder that is named for what they were cut of, so that what an earlier
    call left is taken up only where it is the same.
    """

    def __init__(self, address: Address, whole: Manifest, part: Manifest, aside: Path) -> None:
        self._address, self._whole, self._aside = address, whole, aside
        self._models = {m.name: m for m in part.models if m != whole.model(m.name)}
        self._files = PinnedFiles(address, whole)
        self._made: dict[str, FileEntry] = {}
        self.in_ranges = [e for name in self._models for e in part.files_of("attention", name)]
        self.fetched: list[str] = []

    @property
    def n_bytes(self) -> int:
        return self._files.n_bytes

    def fetch(self, before: Manifest | None, out: Path) -> None:
        """Makes the attention files aside, but those that the folder holds; before: what it holds.

        Raises: DatasetError where a file is not what the manifest says as far as can be seen
        without all of it; HeadswapError where the network or the disk fails.
        """
        with writing_to(self._aside), Progress("fetching layers", None, "rows") as progress:
            for entry in self.in_ranges:
                if (held := self._held(before, entry)) and held.is_intact(out):
                    self._made[entry.path] = held
                    (self._aside / entry.path).unlink(missing_ok=True)
                    continue
                place = self._place(entry)
                if not (place / entry.path).is_file():
                    self._fetch_file(entry, place, progress)
                    self.fetched.append(entry.path)
                rows = pq.read_metadata(place / entry.path).num_rows
                self._made[entry.path] = file_entry(place, entry.path, rows, entry.owner)

    def apply(self, manifest: Manifest, out: Path) -> Manifest:
        """The manifest with the files that were made, which then lie aside as whole ones do."""
        tables: dict[str, tuple[FileEntry, ...]] = {}
        for name, entries in manifest.tables.items():
            has_layers = bool(STORED_TABLES[name].layer_columns)
            kept: list[FileEntry] = []
            numbers: Counter[str | None] = Counter()  # of files so far, a model
            for entry in entries:
                found: FileEntry | None = entry
                if has_layers and entry.owner in self._models:
                    found = self._cut(name, entry, out, numbers[entry.owner])
                if found is not None:
                    kept.append(found)
                    numbers[entry.owner] += 1
            if kept:
                tables[name] = tuple(kept)
        return replace(manifest, tables=tables)

    def _held(self, before: Manifest | None, entry: FileEntry) -> FileEntry | None:
        """The entry that a folder has of the same layers of the same file."""
        model = self._models[entry.owner or ""]
        if before is None or before.part_of is None or before.model(model.name) != model:
            return None
        if before.part_of.sha256 != self._whole.sha256():
            return None
        held = before.files_of("attention", model.name)
        return next((other for other in held if other.path == entry.path), None)

    def _place(self, entry: FileEntry) -> Path:
        what = json.dumps([entry.sha256, self._models[entry.owner or ""].layers])
        return self._aside / _CUTS / hashlib.sha256(what.encode()).hexdigest()[:32]

    def _cut(self, name: str, entry: FileEntry, out: Path, number: int) -> FileEntry | None:
        """Number: what its file gets, as what is added later is named for how many there are."""
        model, place, aside = self._models[entry.owner or ""], self._place(entry), self._aside
        made = self._made.get(entry.path)
        if made is None:

            def change(rows: pa.Table) -> pa.Table:
                for column in table.layer_columns:
                    rows = rows.filter(is_in(rows[column], model.layers or ()))
                return rows

            source = aside if entry.is_intact(aside) else out  # where it lay already
            table, path = STORED_TABLES[name], STORED_TABLES[name].path(number, model.name)
            made = rewrite_file(source, entry, place, path, table, model.precision, change)
        with writing_to(aside / entry.path):
            (aside / entry.path).unlink(missing_ok=True)
            if made is not None and (place / made.path).is_file():
                (aside / made.path).parent.mkdir(parents=True, exist_ok=True)
                (place / made.path).replace(aside / made.path)
        return made

    def _fetch_file(self, entry: FileEntry, place: Path, progress: Progress) -> None:
        model, table = self._models[entry.owner or ""], STORED_TABLES["attention"]
        with table_file(place / entry.path, table, model.precision) as writer:
            try:
                for rows in self._row_groups(entry, model):
                    writer.write_table(rows, row_group_size=len(rows))
                    progress.add(len(rows))
            except (pa.ArrowException, OSError) as error:
                if failure := self._files.pop_failure():
                    raise failure from error
                raise self._lie(entry, f"is damaged: {str(error).splitlines()[0]}") from error

    def _row_groups(self, entry: FileEntry, model: ModelEntry) -> Iterator[pa.Table]:
        """The rows of the layers that are kept, a row group at a time."""
        wanted = set(model.layers or ())
        tolerance = max(TOLERANCES.get(kind, 1e-4) for kind in (model.dtype, model.precision))
        source = self._files.open(entry.path)
        with source, pq.ParquetFile(source, read_dictionary=["model"], pre_buffer=True) as file:
            if file.metadata.num_rows != entry.rows:
                raise self._lie(entry, f"does not have {entry.rows:,} rows")
            column = file.schema_arrow.get_field_index("layer")
            for number in range(file.metadata.num_row_groups):
                said = file.metadata.row_group(number).column(column).statistics
                if said is None or not said.has_min_max or said.min != said.max:
                    raise self._lie(entry, "does not have one row group a head")
                if said.min not in wanted:
                    continue
                rows = file.read_row_group(number)
                if not (rows["layer"].to_numpy() == said.min).all():
                    raise self._lie(entry, f"has rows of another layer than {said.min}")
                queries = [rows[name].to_numpy() for name in ("prompt_id", "query")]
                is_first = np.any([np.diff(q, prepend=-1) != 0 for q in queries], axis=0)
                weights = rows["weight"].to_numpy()
                if problem := sum_problem(weights, np.flatnonzero(is_first), tolerance):
                    raise self._lie(entry, problem)
                yield rows

    def _lie(self, entry: FileEntry, problem: str) -> DatasetError:
        return DatasetError(f"{self._address.text}: {entry.path} {problem}", hint=CHANGED_SINCE)
