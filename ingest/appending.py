"""Adding files of optional tables to a dataset: what was done goes on after an interruption.

Files are numbered after those that the manifest names, and the manifest is replaced once, after the
last. Until then a journal beside a model's files says what they are made of and which are done.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ingest.dataset.commit import commit
from ingest.dataset.lock import check_unlocked, writing
from ingest.dataset.manifest import FileEntry, ModelEntry
from ingest.dataset.reader import Dataset, open_dataset
from ingest.dataset.relations import STORED_TABLES
from ingest.dataset.schemas import schema_of
from ingest.dataset.writer import file_entry
from ingest.kernel.errors import DatasetError, HeadswapError, InputError
from ingest.kernel.files import write_text_aside, writing_to, written_aside
from ingest.kernel.meant import choice_hint
from ingest.producers.attention import entry_from
from ingest.prompts.prompt_set import PromptSet, stored_prompts
from ingest.rerun import Part, Rerun

_COMPRESSION = {"compression": "zstd", "compression_level": 3}
# Makes files of parts by their paths, in any order, and gives the entry of each once it is there.
MakeFiles = Callable[[Dataset, Rerun, Mapping[str, Part]], Iterator[FileEntry]]


class Added(NamedTuple):
    """A file that was added; was_there: from an interrupted run."""

    part: Part
    entry: FileEntry
    was_there: bool


@dataclass
class Addition:
    """Files that are being added to a dataset.

    dataset: as it was when the addition began. tables: those that it may add to. work: all that the
    bytes of the files depend on. make: makes the files of models.
    """

    dataset: Dataset
    tables: Sequence[str]
    work: dict[str, object]
    make: MakeFiles
    _done: dict[str, FileEntry] = field(default_factory=dict)
    _added: dict[str, list[FileEntry]] = field(default_factory=dict)

    def files(self, rerun: Rerun, parts: Sequence[Part]) -> Iterator[Added]:
        """Adds files of a model, and gives each once it is there.

        Those that are there from an interrupted run come first, and are not made again.
        """
        numbers = {table: len(self._of(table, rerun.entry.name)) for table in self.tables}
        by_path: dict[str, Part] = {}
        for part in parts:
            path = STORED_TABLES[part.table].path(numbers[part.table], rerun.entry.name)
            numbers[part.table] += 1
            by_path[path] = part
        to_do = {path: part for path, part in by_path.items() if path not in self._done}
        for path, part in by_path.items():
            if path not in to_do:
                yield Added(part, self._done[path], was_there=True)
        for entry in self.make(self.dataset, rerun, to_do):
            self._note(entry)
            yield Added(by_path[entry.path], entry, was_there=False)
        for path, part in by_path.items():
            self._added.setdefault(part.table, []).append(self._done[path])

    def file(self, table: str, owner: str, rows: pa.Table) -> None:
        """Adds one file of a table that is not split by model. owner: as in FileEntry."""
        path = STORED_TABLES[table].path(len(self._of(table, None)))
        if path not in self._done:
            self._note(write_rows(self.dataset, path, table, rows, owner))
        self._added.setdefault(table, []).append(self._done[path])

    def _of(self, table: str, owner: str | None) -> list[FileEntry]:
        """The files that a table has by now; owner: None for those of all."""
        added = [e for e in self._added.get(table, ()) if owner in (None, e.owner)]
        return [*self.dataset.manifest.files_of(table, owner), *added]

    @property
    def _journal(self) -> Path:
        made_by = STORED_TABLES[self.tables[0]].made_by
        return self.dataset.path / f".{made_by}.jsonl"

    def _begin(self) -> None:
        """Takes over what an interrupted run of the same work did, and removes what it did not."""
        manifest = self.dataset.manifest
        there = {
            table: [entry.sha256 for entry in manifest.files_of(table)] for table in self.tables
        }
        first = json.dumps(self.work | {"there": there}, sort_keys=True)
        lines = self._journal.read_text("utf-8").split("\n") if self._journal.is_file() else []
        if lines[:1] == [first]:
            # What follows the last line feed was not written to its end.
            self._done = {
                entry.path: entry
                for entry in map(entry_from, lines[1:-1])
                if entry and entry.is_intact(self.dataset.path)
            }
        self._remove_others()
        done = "".join(f"{json.dumps(asdict(entry))}\n" for entry in self._done.values())
        write_text_aside(self._journal, f"{first}\n{done}")

    def _remove_others(self) -> None:
        """Removes files that are not done: of other work, or of attempts that died."""
        manifest, out = self.dataset.manifest, self.dataset.path
        kept = {entry.path for entry in manifest.files()} | self._done.keys()
        for path in out.rglob("*.parquet*"):
            below = path.relative_to(out).as_posix()
            is_of_ours = any(
                STORED_TABLES[table].owns(below.removesuffix(".partial"), model.name)
                for table in self.tables
                for model in manifest.models
            )
            if is_of_ours and below not in kept:
                path.unlink(missing_ok=True)

    def _note(self, entry: FileEntry) -> None:
        self._done[entry.path] = entry
        with writing_to(self._journal), self._journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(entry)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _end(self) -> None:
        self._remove_others()
        commit(self.dataset.path, self.dataset.manifest.with_files(self._added))
        self._journal.unlink()


@contextmanager
def adding(
    dataset: Dataset,
    tables: Sequence[str],
    work: dict[str, object],
    make: MakeFiles | None = None,
) -> Iterator[Addition]:
    """Adds files to optional tables; the manifest names them once the block ends without error.

    What an interrupted run of other work left is removed. tables, work, make: as of an Addition;
    None makes one file after the other in this process.

    Raises: HeadswapError where another process writes there or has written since.
    """
    with writing(dataset.path):
        if open_dataset(dataset.path).manifest != dataset.manifest:
            raise HeadswapError(
                f"another process changed {dataset.path} while the models were loaded",
                hint="run again",
            )
        addition = Addition(dataset, tables, work, make or make_here)
        addition._begin()
        yield addition
        addition._end()


def make_here(dataset: Dataset, rerun: Rerun, parts: Mapping[str, Part]) -> Iterator[FileEntry]:
    """Makes files of parts one after the other in this process."""
    for path, part in parts.items():
        yield write_rows(dataset, path, part.table, rerun.rows(part), rerun.entry.name)


def write_rows(dataset: Dataset, path: str, table: str, rows: pa.Table, owner: str) -> FileEntry:
    """Writes rows as one file of an optional table.

    path: below the dataset; owner: as in FileEntry.
    """
    rows = rows.cast(schema_of(STORED_TABLES[table]))
    with written_aside(dataset.path / path) as partial:
        pq.write_table(rows, partial, **_COMPRESSION)
    return file_entry(dataset.path, path, len(rows), owner)


def open_to_add(path: Path) -> Dataset:
    """Opens a dataset that files are to be added to.

    Raises: DatasetError where it is none; HeadswapError where another process writes there.
    """
    dataset = open_dataset(path)
    check_unlocked(path)
    return dataset


def chosen_models(
    dataset: Dataset, names: Sequence[str], now_at: Iterable[str] = ()
) -> list[ModelEntry]:
    """The models of those names, all where none is named.

    now_at: names of models that are said to lie elsewhere now.

    Raises: InputError where the dataset lacks one.
    """
    held = {model.name: model for model in dataset.manifest.models}
    for name in (*now_at, *names):
        if name not in held:
            hint = choice_hint(name, list(held), "it has")
            raise InputError(f"{dataset.path} has no model {name!r}", hint=hint)
    return [held[name] for name in dict.fromkeys(names or held)]


def prompts_of(dataset: Dataset) -> PromptSet:
    """The prompts that a dataset holds."""
    rows = dataset.read_table("prompts").to_pylist()
    return stored_prompts(rows, dataset.manifest.variant, dataset.path)


def token_ids_of(dataset: Dataset, tokenizer: str) -> dict[int, NDArray[np.int32]]:
    """The stored token ids of each prompt as a tokenizer cuts it, by prompt_id, ascending."""
    tokens = dataset.read_table("tokens")
    mine = tokens.filter(pc.equal(tokens["tokenizer"], tokenizer)).sort_by(
        [("prompt_id", "ascending"), ("position", "ascending")]
    )
    prompts, ids = (mine[name].to_numpy() for name in ("prompt_id", "token_id"))
    known, starts = np.unique(prompts, return_index=True)
    return dict(zip(known.tolist(), np.split(ids, starts[1:]), strict=True))


def stored_rows(dataset: Dataset, table: str, model: str, columns: Sequence[str]) -> pa.Table:
    """Some columns of the rows that a model has of a table, in the files' order.

    Raises: DatasetError where a file is damaged.
    """
    schema = schema_of(STORED_TABLES[table])
    chosen = pa.schema([schema.field(name) for name in columns])
    parts = [chosen.empty_table()]
    for path in dataset.table_files(table, model):
        try:
            parts.append(pq.read_table(path, columns=list(columns)).cast(chosen))
        except (pa.ArrowException, OSError) as error:
            raise DatasetError(
                f"{path} cannot be read: {str(error).splitlines()[0]}",
                hint="`headswap verify` says what is wrong with the dataset",
            ) from error
    return pa.concat_tables(parts)
