"""Adding files of optional tables to a dataset: what was done goes on after an interruption.

Files are numbered after those that the manifest names, and the manifest is replaced once, after the
last. Until then a journal beside a model's files says what they are made of and which are done.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ingest.dataset.commit import commit
from ingest.dataset.lock import check_unlocked, writing
from ingest.dataset.manifest import FileEntry, Manifest, ModelEntry
from ingest.dataset.reader import Dataset, open_dataset
from ingest.dataset.relations import STORED_TABLES
from ingest.dataset.schemas import schema_of
from ingest.dataset.writer import file_entry
from ingest.kernel.errors import DatasetError, HeadswapError, InputError
from ingest.kernel.files import write_text_aside, writing_to, written_aside
from ingest.kernel.meant import choice_hint
from ingest.producers.attention import entry_from
from ingest.prompts.prompt_set import PromptSet, stored_prompts

_COMPRESSION = {"compression": "zstd", "compression_level": 3}


@dataclass
class Addition:
    """Files that are being added to a dataset.

    manifest: as it was when the addition began. work: all that the bytes of the files depend on.
    """

    dataset: Path
    manifest: Manifest
    work: dict[str, object]
    made_by: str
    _done: dict[str, FileEntry] = field(default_factory=dict)
    _added: dict[str, list[FileEntry]] = field(default_factory=dict)

    def file(self, table: str, owner: str, make: Callable[[], pa.Table]) -> tuple[FileEntry, bool]:
        """One more file of a table, and whether it was there from an interrupted run.

        make: gives the rows; called only where they are not there. owner: as in FileEntry.
        """
        added = self._added.setdefault(table, [])
        stored = STORED_TABLES[table]
        is_mine = [entry for entry in added if stored.split != "model" or entry.owner == owner]
        counted = owner if stored.split == "model" else None
        number = len(self.manifest.files_of(table, counted)) + len(is_mine)
        path = stored.path(number, owner)
        entry = self._done.get(path)
        is_there = entry is not None
        if entry is None:
            rows = make().cast(schema_of(stored))
            with written_aside(self.dataset / path) as partial:
                pq.write_table(rows, partial, **_COMPRESSION)
            entry = file_entry(self.dataset, path, len(rows), owner)
            self._note(entry)
        added.append(entry)
        return entry, is_there

    @property
    def _journal(self) -> Path:
        return self.dataset / f".{self.made_by}.jsonl"

    def _begin(self, tables: Sequence[str]) -> None:
        """Takes over what an interrupted run of the same work did, and removes what it did not."""
        there = {
            table: [entry.sha256 for entry in self.manifest.files_of(table)] for table in tables
        }
        first = json.dumps(self.work | {"there": there}, sort_keys=True)
        lines = self._journal.read_text("utf-8").split("\n") if self._journal.is_file() else []
        if lines[:1] == [first]:
            # What follows the last line feed was not written to its end.
            self._done = {
                entry.path: entry
                for entry in map(entry_from, lines[1:-1])
                if entry and entry.is_intact(self.dataset)
            }
        kept = {entry.path for entry in self.manifest.files()} | self._done.keys()
        for path in self.dataset.rglob("*.parquet*"):
            below = path.relative_to(self.dataset).as_posix()
            is_of_ours = any(
                STORED_TABLES[table].owns(below.removesuffix(".partial"), model.name)
                for table in tables
                for model in self.manifest.models
            )
            if is_of_ours and below not in kept:
                path.unlink()
        done = "".join(f"{json.dumps(asdict(entry))}\n" for entry in self._done.values())
        write_text_aside(self._journal, f"{first}\n{done}")

    def _note(self, entry: FileEntry) -> None:
        with writing_to(self._journal), self._journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(entry)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _end(self) -> None:
        commit(self.dataset, self.manifest.with_files(self._added))
        self._journal.unlink()


@contextmanager
def adding(dataset: Dataset, tables: Sequence[str], work: dict[str, object]) -> Iterator[Addition]:
    """Adds files to optional tables; the manifest names them once the block ends without error.

    tables: those that the work may add to. What an interrupted run of other work left is removed.

    Raises: HeadswapError where another process writes there or has written since.
    """
    with writing(dataset.path):
        if open_dataset(dataset.path).manifest != dataset.manifest:
            raise HeadswapError(
                f"another process changed {dataset.path} while the models were loaded",
                hint="run again",
            )
        made_by = STORED_TABLES[tables[0]].made_by
        addition = Addition(dataset.path, dataset.manifest, work, made_by)
        addition._begin(tables)
        yield addition
        addition._end()


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
