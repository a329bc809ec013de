"""Mending a dataset: what is superfluous goes, what is damaged is made again, bit for bit."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
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
from ingest.dataset.relations import STORED_TABLES
from ingest.dataset.writer import write_table
from ingest.kernel.errors import DatasetError, HeadswapError, InputError
from ingest.kernel.progress import Progress
from ingest.models.packages import needing_packages
from ingest.models.source import ModelSource
from ingest.models.stored import load_stored, pinned_source
from ingest.pipeline import encode_all, token_rows
from ingest.probing import probe_made_again
from ingest.producers.attention import Capture, batches_of, count_rows, part_path, versions
from ingest.prompts.prompt_set import PAIRED_TASKS, PromptSet, read_prompts, stored_prompts
from ingest.prompts.sequence import structural_pattern

# Where files are made before they are seen to be the lost ones.
_WORKSHOP = ".repair"


@needing_packages()
def repair(dataset: Path, problems: Sequence[Problem], prompts_file: Path | None) -> list[str]:
    """Mends what a verification found and returns the paths of the files that it made again.

    A file is replaced only by one with the checksum that the manifest states, so that a repair that
    fails leaves the dataset as it was. Only the damaged files are made again, which takes the
    models that the manifest names. prompts_file: where the prompts came from, needed where their
    table is damaged (by default the 12 tasks that come with headswap).

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
        commit(dataset, manifest)
    return workshop.mended


def _surviving_manifest(dataset: Path) -> Manifest:
    try:
        return read_manifest(dataset)
    except DatasetError:
        return read_manifest(dataset, BACKUP_NAME)


class _Workshop:
    """Makes files again, aside, and puts those in place that are the lost ones."""

    def __init__(self, dataset: Path, manifest: Manifest) -> None:
        self._dataset, self._manifest = dataset, manifest
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
            table = self._table_of[path]
            if table.made_by != "ingest":
                raise HeadswapError(
                    f"{path} is damaged, and a repair does not make the table {table.name} again",
                    hint=f"`headswap {table.made_by}` makes it",
                )
            raise HeadswapError(
                f"{path} cannot be made again bit for bit: it was written with "
                f"{self._manifest.written_with}, here run {versions()}",
                hint="use those versions, or ingest into a new folder",
            )

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
