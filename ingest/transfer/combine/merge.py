"""Shards of one study become one dataset: the same prompts and other models, or the reverse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from ingest.dataset.commit import commit
from ingest.dataset.manifest import FileEntry, LeftOut, Manifest, ModelEntry
from ingest.dataset.reader import Dataset
from ingest.dataset.relations import STORED_TABLES, StoredTable
from ingest.dataset.schemas import schema_of
from ingest.dataset.writer import file_entry, table_file
from ingest.kernel.errors import InputError
from ingest.kernel.progress import Progress
from ingest.prompts.prompt_set import ALL_VARIANTS, stored_prompts
from ingest.transfer.combine.fit import (
    Shard,
    absent_rows,
    check_fit,
    model_names,
    number_prompts,
    open_shard,
)
from ingest.transfer.combine.rows import (
    Renumbering,
    copy_file,
    distinct_rows,
    read_rows,
    rewrite_file,
)
from ingest.transfer.new_dataset import check_new, new_dataset

# Of a small table, and in its row groups.
_ROWS_A_GROUP = 1 << 14


@dataclass(frozen=True)
class Merged:
    """What a merge made.

    n_renumbered: prompts that got another prompt_id. absent: each (optional table, model) of which
    no shard has rows.
    """

    manifest: Manifest
    n_renumbered: int
    absent: tuple[tuple[str, str], ...]


def merge(sources: Sequence[Path], out: Path) -> Merged:
    """Merges datasets into a new one; the datasets are only read.

    Attention is copied file by file, or rewritten a row group at a time where prompts get other
    numbers, so that memory does not grow with its rows.

    Raises: InputError, with the reason, where the datasets are not shards of one study, one is
    damaged, or `out` exists; DatasetError where one cannot be read; HeadswapError where the disk
    lacks the room or the operating system refuses. Then nothing is left at `out`.
    """
    check_new(out)
    shards = [open_shard(source) for source in sources]
    for shard in shards:
        if out.resolve().is_relative_to(shard.path.resolve()):
            raise InputError(f"{out} lies in {shard.path}", hint="give a folder outside with --out")
    check_fit(shards)
    numbered = number_prompts(shards)
    renumberings = [Renumbering(ids) for ids in numbered]
    files = [entry for shard in shards for entry in shard.manifest.files()]
    with (
        new_dataset(out, sum(entry.bytes for entry in files)) as folder,
        Progress("merging", sum(entry.rows for entry in files), "rows") as progress,
    ):
        tables = {}
        for table in STORED_TABLES.values():
            merger = _TableMerger(table, shards, renumberings, folder, progress.add)
            if entries := merger.merge():
                tables[table.name] = entries
        manifest = _manifest(shards, tables, folder)
        commit(folder, manifest)
    renumbered = {new for ids in numbered for old, new in ids.items() if old != new}
    return Merged(manifest, len(renumbered), tuple(absent_rows(shards)))


class _TableMerger:
    """Merges one table, as its declaration says."""

    def __init__(
        self,
        table: StoredTable,
        shards: Sequence[Shard],
        renumberings: Sequence[Renumbering],
        folder: Path,
        on_rows: Callable[[int], None],
    ) -> None:
        self._table, self._folder, self._on_rows = table, folder, on_rows
        self._parts = [
            (shard, renumbering)
            for shard, renumbering in zip(shards, renumberings, strict=True)
            if table.name in shard.manifest.tables
        ]
        self._made: list[FileEntry] = []
        self._numbers: Counter[str | None] = Counter()  # of files so far, a folder

    def merge(self) -> tuple[FileEntry, ...]:
        """Writes the table's files and returns their entries; none where no shard has it."""
        files = [entry for shard, _ in self._parts for entry in self._entries(shard)]
        owners = list(dict.fromkeys(entry.owner for entry in files))
        if None in owners:  # a file of all owners, which may hold what a file of one does
            owners = [None]
        for owner in owners:
            parts = [part for part in self._parts if self._entries(part[0], owner)]
            if self._table.merge == "append" or len(parts) == 1:
                for shard, renumbering in parts:
                    for entry in self._entries(shard, owner):
                        self._take_over(shard, renumbering, entry)
            else:
                self._write_distinct(parts, owner)
        return tuple(self._made)

    def _entries(self, shard: Shard, owner: str | None = None) -> tuple[FileEntry, ...]:
        return shard.manifest.files_of(self._table.name, owner)

    def _next_path(self, owner: str | None) -> str:
        folder = owner if self._table.split == "model" else None
        number = self._numbers[folder]
        self._numbers[folder] += 1
        return self._table.path(number, owner)

    def _precision(self, shard: Shard, owner: str | None) -> str:
        model = shard.manifest.model(owner or "")
        return model.precision if model else "float32"

    def _take_over(self, shard: Shard, renumbering: Renumbering, entry: FileEntry) -> None:
        table, path = self._table, self._next_path(entry.owner)
        if not renumbering.changes(table):
            self._made.append(copy_file(shard.path, entry, self._folder, path))
            self._on_rows(entry.rows)
            return

        def change(rows: pa.Table) -> pa.Table:
            self._on_rows(len(rows))
            return renumbering.apply(table, rows)

        precision = self._precision(shard, entry.owner)
        made = rewrite_file(shard.path, entry, self._folder, path, table, precision, change)
        if made:
            self._made.append(made)

    def _write_distinct(
        self, parts: Sequence[tuple[Shard, Renumbering]], owner: str | None
    ) -> None:
        table, tables = self._table, []
        for shard, renumbering in parts:
            rows = read_rows(shard.path, self._entries(shard, owner))
            tables.append(renumbering.apply(table, rows) if renumbering.changes(table) else rows)
            self._on_rows(len(rows))
        rows = distinct_rows(table, tables, [shard.path for shard, _ in parts])
        precision = self._precision(parts[0][0], owner)
        path = self._next_path(owner)
        with table_file(self._folder / path, table, precision) as writer:
            writer.write_table(rows.cast(schema_of(table, precision)), row_group_size=_ROWS_A_GROUP)
        self._made.append(file_entry(self._folder, path, len(rows), owner))


def _manifest(
    shards: Sequence[Shard], tables: dict[str, tuple[FileEntry, ...]], folder: Path
) -> Manifest:
    manifests = [shard.manifest for shard in shards]
    variants = {manifest.variant for manifest in manifests}
    merged = Manifest(
        variant=variants.pop() if len(variants) == 1 else ALL_VARIANTS,
        structural=manifests[0].structural,
        prompts_sha256=manifests[0].prompts_sha256,
        tokenizers={name: sha for m in manifests for name, sha in m.tokenizers.items()},
        models=tuple(_model(shards, name) for name in model_names(shards)),
        tables=tables,
        written_with=_versions(manifests),
    )
    merged = replace(merged, left_out=_left_out(manifests, Dataset(folder, merged)))
    return with_prompts_hash(merged, folder, manifests)


def _left_out(manifests: Sequence[Manifest], merged: Dataset) -> tuple[LeftOut, ...] | None:
    """What any part left out, by the number of the prompt; None where no part leaves any out.

    Of parts that were renumbered, what is left out has no number any more.
    """
    stored = set(merged.read_table("prompts")["prompt_id"].to_pylist())
    found = {entry.prompt_id: entry for one in manifests for entry in one.left_out or ()}
    return tuple(found[number] for number in sorted(found.keys() - stored)) or None


def with_prompts_hash(manifest: Manifest, folder: Path, sources: Sequence[Manifest]) -> Manifest:
    """The manifest with the hash of its prompts, which is a source's where the rows are its own."""
    for source in sources:
        one, other = source.files_of("prompts"), manifest.files_of("prompts")
        if [entry.sha256 for entry in one] == [entry.sha256 for entry in other]:
            return replace(manifest, prompts_sha256=source.prompts_sha256)
    rows = Dataset(folder, manifest).read_table("prompts").to_pylist()
    found = stored_prompts(rows, manifest.variant, folder).sha256
    return replace(manifest, prompts_sha256=found)


def _model(shards: Sequence[Shard], name: str) -> ModelEntry:
    entries = [shard.manifest.model(name) for shard in shards]
    return next(entry for entry in entries if entry)


def _versions(manifests: Sequence[Manifest]) -> dict[str, str]:
    """What wrote the shards; where that was several versions of a library, each of them."""
    names = dict.fromkeys(name for manifest in manifests for name in manifest.written_with)
    found = {
        name: dict.fromkeys(m.written_with[name] for m in manifests if name in m.written_with)
        for name in names
    }
    return {name: ", ".join(versions) for name, versions in found.items()}
