"""Mending a dataset: what is superfluous goes, what is damaged is made again, bit for bit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq

from ingest.dataset.checks import Problem
from ingest.dataset.commit import commit
from ingest.dataset.lock import writing
from ingest.dataset.manifest import (
    BACKUP_NAME,
    FileEntry,
    Manifest,
    ModelEntry,
    read_manifest,
)
from ingest.dataset.relations import STORED_TABLES, StoredTable
from ingest.dataset.writer import write_table
from ingest.kernel.errors import DatasetError, HeadswapError, InputError
from ingest.kernel.progress import Progress
from ingest.models.packages import needing_packages
from ingest.models.source import ModelSource
from ingest.models.stored import load_stored, pinned_source
from ingest.pipeline import token_rows
from ingest.probing import probe_made_again
from ingest.producers.attention import Capture, batches_of, count_rows, part_path, versions
from ingest.prompts.prompt_set import PAIRED_TASKS, PromptSet, read_prompts, stored_prompts
from ingest.prompts.sequence import structural_pattern
from ingest.readable import encode_all, stored_of

# Where files are made before they are seen to be the lost ones.
_WORKSHOP = ".repair"
# Where files go whose rows another command makes again, and the ending that they get: neither the
# dataset's any more nor lost.
SET_ASIDE, _ENDING = "set-aside", ".aside"


@dataclass(frozen=True)
class Repaired:
    """What a repair did.

    made: paths of the files that it made again. set_aside: of each table and model of which files
    were set aside, a sentence that says how many and what makes their rows again.
    """

    made: list[str]
    set_aside: list[str]


@needing_packages()
def repair(dataset: Path, problems: Sequence[Problem], prompts_file: Path | None) -> Repaired:
    """Mends what a verification found.

    A file is replaced only by one with the checksum that the manifest states, so that a repair that
    fails leaves the dataset as it was. Only the damaged files are made again, which takes the
    models that the manifest names. What other commands than ingest wrote is set aside where a file
    of it is damaged, with the files that mean nothing without it. prompts_file: where the prompts
    came from, needed where their table is damaged (by default the 12 tasks that come with
    headswap).

    Raises: InputError where prompts or a model are not the ones of the dataset; HeadswapError where
    what is made again differs, or another process writes there.
    """
    with writing(dataset):
        manifest = _surviving_manifest(dataset)
        shutil.rmtree(dataset / _WORKSHOP, ignore_errors=True)
        for problem in problems:
            if problem.is_superfluous:
                (dataset / problem.path).unlink(missing_ok=True)
        try:
            workshop = _Workshop(dataset, manifest)
            workshop.mend_tables_of_prompts(prompts_file)
            workshop.mend_models()
        finally:
            shutil.rmtree(dataset / _WORKSHOP, ignore_errors=True)
        sentences = workshop.set_aside()
        commit(dataset, workshop.manifest)
        # Only now: until the manifest is replaced, they are files of the dataset.
        for path in workshop.aside:
            _move(dataset / path, dataset / SET_ASIDE / f"{path}{_ENDING}")
    return Repaired(workshop.mended, sentences)


def _move(path: Path, target: Path) -> None:
    """Moves a file that may be gone; an earlier one that was set aside stays what it was."""
    if not path.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while target.exists():
        target = target.with_name(f"{path.name}.{number}{_ENDING}")
        number += 1
    path.replace(target)


def _surviving_manifest(dataset: Path) -> Manifest:
    try:
        return read_manifest(dataset)
    except DatasetError:
        return read_manifest(dataset, BACKUP_NAME)


class _Workshop:
    """Makes files again, aside, and puts those in place that are the lost ones."""

    def __init__(self, dataset: Path, manifest: Manifest) -> None:
        self._dataset, self._manifest = dataset, manifest
        self.aside: list[str] = []
        self._folder = dataset / _WORKSHOP
        self._damaged = {
            entry.path: entry for entry in manifest.files() if not entry.is_intact(dataset)
        }
        self._table_of = {
            entry.path: STORED_TABLES[table]
            for table in manifest.tables
            for entry in manifest.files_of(table)
        }
        self.mended: list[str] = []

    def mend_tables_of_prompts(self, prompts_file: Path | None) -> None:
        """Makes the table of prompts again where it is damaged."""
        for entry in self._manifest.files_of("prompts"):
            if entry.path in self._damaged:
                prompts = self._probe() or read_prompts(
                    prompts_file or PAIRED_TASKS, self._manifest.variant
                )
                prompts = stored_of(prompts, self._manifest)
                if prompts.sha256 != self._manifest.prompts_sha256:
                    raise InputError(
                        f"{entry.path} is damaged, and {prompts.path} holds other prompts",
                        hint="name the file that the prompts came from with --prompts",
                    )
                rows = prompts.rows()
                self._put(write_table(self._folder, entry.path, "prompts", rows))

    def _probe(self) -> PromptSet | None:
        """The prompts of the dataset where they are a probe's, which no file holds."""
        sources = [ModelSource(entry.name, pinned_source(entry)) for entry in self._manifest.models]
        return probe_made_again(self._manifest, sources)

    def mend_models(self) -> None:
        """Makes again what came from each model: its attention and its rows of the small tables."""
        rows = [
            row
            for entry in self._manifest.files_of("prompts")
            for row in pq.read_table(self._dataset / entry.path).to_pylist()
        ]
        prompts = stored_prompts(rows, self._manifest.variant, self._dataset)
        for entry in self._manifest.models:
            if self._is_needed(entry):
                self._mend_model(entry, prompts)
        for path in sorted(self._damaged):
            if self._table_of[path].is_optional:
                continue
            raise HeadswapError(
                f"{path} cannot be made again bit for bit: it was written with "
                f"{self._manifest.written_with}, here run {versions()}",
                hint="use those versions, or ingest into a new folder",
            )

    @property
    def manifest(self) -> Manifest:
        """The manifest without the files that are set aside."""
        tables = {
            name: tuple(entry for entry in entries if entry.path not in self.aside)
            for name, entries in self._manifest.tables.items()
        }
        kept = {name: entries for name, entries in tables.items() if entries}
        return replace(self._manifest, tables=kept)

    def set_aside(self) -> list[str]:
        """Takes optional tables' damaged files out of the manifest, and says what makes them."""
        sentences = []
        for table, owner, entries in self._incomplete():
            n_damaged = sum(entry.path in self._damaged for entry in entries)
            self.aside += [entry.path for entry in entries]
            sentences.append(
                f"{n_damaged} of {len(entries)} files of {table.name} of {owner!r} were damaged, "
                f"all are set aside in {SET_ASIDE}/: `headswap {table.made_by} {self._dataset}`, "
                "with the options of before, makes their rows again"
            )
        return sentences

    def _incomplete(self) -> Iterator[tuple[StoredTable, str, list[FileEntry]]]:
        """Files that go together, by table and owner: a command adds what has no rows at all.

        All that `readout` wrote goes together, as its tables refer to one another.
        """
        damaged = {
            (self._table_of[path].name, entry.owner) for path, entry in self._damaged.items()
        }
        made_by = {STORED_TABLES[name].made_by for name, _ in damaged}
        for name, entries in self._manifest.tables.items():
            table = STORED_TABLES[name]
            for owner in dict.fromkeys(entry.owner for entry in entries):
                is_read_out = table.made_by == "readout" and "readout" in made_by
                if table.is_optional and ((name, owner) in damaged or is_read_out):
                    mine = [entry for entry in entries if entry.owner == owner]
                    yield table, owner or "", mine

    def _is_needed(self, model: ModelEntry) -> bool:
        owners = (model.name, model.tokenizer)
        return any(
            entry.owner in owners and self._table_of[path].made_by == "ingest"
            for path, entry in self._damaged.items()
        )

    def _mend_model(self, entry: ModelEntry, prompts: PromptSet) -> None:
        model = load_stored(entry)
        encoded = encode_all(model, prompts)
        pattern = structural_pattern(self._manifest.structural)
        for table, owner in (("models", entry.name), ("tokens", entry.tokenizer)):
            for file in self._manifest.files_of(table, owner):
                if file.path in self._damaged:
                    is_model = table == "models"
                    rows = [model.row()] if is_model else token_rows(model, prompts, pattern)
                    self._put(write_table(self._folder, file.path, table, rows, owner))
        progress = Progress(f"{model.name:<14}", count_rows(model, encoded), "rows")
        with progress, ThreadPoolExecutor(max_workers=1) as encoder:
            ids = [prompt.prompt_id for prompt in prompts.prompts]
            capture = Capture(model, ids, encoded, self._folder, progress.add)
            for number, batch in enumerate(batches_of(model, encoded)):
                path = part_path(model.name, number)
                if path in self._damaged:
                    self._put(capture.file(path, batch, encoder))

    def _put(self, made: FileEntry) -> None:
        """Puts a file in its place where it is the lost one, and forgets it otherwise."""
        if self._damaged.get(made.path) == made:
            (self._folder / made.path).replace(self._dataset / made.path)
            del self._damaged[made.path]
            self.mended.append(made.path)
