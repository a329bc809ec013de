"""The attention of one model, batch by batch, each batch one file.

A file is written aside, synced and renamed, so that it is whole or not there. Until the manifest
names them, a journal beside a model's files says what they are made of and which are done: an
ingest that goes on after an interruption takes over what the journal holds and is undamaged.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from ingest.dataset.manifest import FileEntry
from ingest.dataset.relations import STORED_TABLES
from ingest.dataset.writer import AttentionFile, Triangle, attention_file, file_entry
from ingest.kernel.files import write_text_aside, writing_to
from ingest.kernel.progress import Progress
from ingest.producers.batches import Batch, plan_batches
from ingest.prompts.prompt_set import PromptSet

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from ingest.models.loaded import LoadedModel

    # The token ids of each prompt, in the prompt set's order. What else is known of a token is
    # made anew when it is written, so that memory does not grow with it.
    Encoded = Sequence[NDArray[np.int32]]
    # Makes files of parts, in any order, and gives the entry of each once it stands there.
    Captured = Callable[["Capture", Sequence["Part"]], Iterator[FileEntry]]

LIBRARIES = ("torch", "transformers", "transformer-lens", "tokenizers", "pyarrow")
JOURNAL_NAME = "ingest.jsonl"
# A name may carry the attempt that made the file, until it is known to be the one that counts.
_PART = re.compile(r"part-\d{5,}(\.[0-9a-f]+)?\.parquet(\.partial)?")
# Layers that may wait to be written while the model computes on; bounds the memory they take.
_PENDING_LAYERS = 1


def versions() -> dict[str, str]:
    """What wrote a dataset: headswap and the libraries that its numbers rest on."""
    return {name: importlib.metadata.version(name) for name in ("headswap", *LIBRARIES)}


def model_folder(model: str) -> str:
    """Where a model's files lie below the dataset."""
    return part_path(model, 0).rpartition("/")[0]


def part_path(model: str, number: int) -> str:
    """The file of a model's batch, below the dataset."""
    return STORED_TABLES["attention"].path(number, model)


def batches_of(model: LoadedModel, encoded: Encoded) -> list[Batch]:
    """The batches of one model, one a file."""
    return plan_batches([len(tokens) for tokens in encoded], model.n_heads)


def count_rows(model: LoadedModel, encoded: Encoded) -> int:
    """The attention rows that a model gives."""
    lengths = [len(tokens) for tokens in encoded]
    cells = sum(n * (n + 1) // 2 if model.is_causal else n * n for n in lengths)
    return cells * model.n_layers * model.n_heads


def write_attention(
    model: LoadedModel,
    prompts: PromptSet,
    encoded: Encoded,
    out: Path,
    captured: Captured | None = None,
) -> tuple[FileEntry, ...]:
    """Captures and writes the attention of one model, one file a batch.

    captured: makes the files that are not done yet, None for one after the other in this process.
    """
    batches = batches_of(model, encoded)
    progress = Progress(f"{model.name:<14}", count_rows(model, encoded), "rows")
    journal = Journal(out, model.name, _work(model, prompts, batches))
    parts = {part_path(model.name, number): batch for number, batch in enumerate(batches)}
    to_do = [Part(path, batch) for path, batch in parts.items() if path not in journal.done]
    ids = [prompt.prompt_id for prompt in prompts.prompts]
    with progress:
        for entry in journal.done.values():
            progress.skip(entry.rows)
        capture = Capture(model, ids, encoded, out, progress.add)
        for entry in (captured or captured_here)(capture, to_do):
            journal.add(entry)
    journal.remove_others()
    print(progress.summary(), file=sys.stderr)
    return tuple(journal.done[path] for path in parts)


@dataclass(frozen=True)
class Part:
    """A file that is to be made. path: below the dataset."""

    path: str
    batch: Batch


def captured_here(capture: Capture, parts: Sequence[Part]) -> Iterator[FileEntry]:
    """Makes files one after the other in this process, and gives the entry of each."""
    with ThreadPoolExecutor(max_workers=1) as encoder:
        for part in parts:
            yield capture.file(part.path, part.batch, encoder)
            _give_back_memory()


def _give_back_memory() -> None:
    """Returns freed memory to the system, which a batch of another shape may not fit into."""
    for pool in (pa.default_memory_pool(), pa.system_memory_pool()):
        pool.release_unused()


class Journal:
    """What an ingest of one model has done so far; `done` is empty where it begins anew.

    The first line is the work, all that the bytes of the files depend on; one line a file follows.
    The manifest names none of the files yet: a model that it holds is not written again.
    """

    def __init__(self, out: Path, model: str, work: dict[str, object]) -> None:
        folder = out / model_folder(model)
        self._path = folder / JOURNAL_NAME
        self.done: dict[str, FileEntry] = {}
        first = json.dumps(work, sort_keys=True)
        lines = self._path.read_text(encoding="utf-8").split("\n") if self._path.is_file() else []
        goes_on = lines[:1] == [first]
        if goes_on:
            # What follows the last line feed was not written to its end.
            self.done = {
                entry.path: entry
                for entry in map(entry_from, lines[1:-1])
                if entry and entry.is_intact(out)
            }
        self.remove_others()
        done = "".join(f"{json.dumps(asdict(entry))}\n" for entry in self.done.values())
        write_text_aside(self._path, f"{first}\n{done}")

    def remove_others(self) -> None:
        """Removes files of the model that are not done: of other work, or of attempts that died."""
        folder = self._path.parent
        done = {path.rpartition("/")[2] for path in self.done}
        for path in folder.iterdir() if folder.is_dir() else ():
            if _PART.fullmatch(path.name) and path.name not in done:
                path.unlink(missing_ok=True)

    def add(self, entry: FileEntry) -> None:
        """Notes a file that is done."""
        self.done[entry.path] = entry
        with writing_to(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(entry)) + "\n")
            file.flush()
            os.fsync(file.fileno())


def close_journals(out: Path, models: Sequence[str]) -> None:
    """Removes the journals of models whose files the manifest names by now."""
    for model in models:
        (out / model_folder(model) / JOURNAL_NAME).unlink(missing_ok=True)


def entry_from(line: str) -> FileEntry | None:
    """The entry of a journal's line; none of a damaged one, so that its file is made again."""
    try:
        return FileEntry(**json.loads(line))
    except (ValueError, TypeError):
        return None


def _work(model: LoadedModel, prompts: PromptSet, batches: Sequence[Batch]) -> dict[str, object]:
    """All that the bytes of a model's files depend on."""
    return {
        "prompts_sha256": prompts.sha256,
        "weights_sha256": model.weights_sha256,
        "tokenizer_sha256": model.tokenizer_sha256,
        "dtype": model.dtype,
        "precision": model.precision,
        "device": model.device,
        "versions": versions(),
        "batches": [batch.members for batch in batches],
    }


@dataclass(frozen=True)
class Capture:
    """What turns batches of one model's prompts into files.

    prompt_ids: one a prompt, in the order of `encoded`; on_rows: told of rows as they are written.
    """

    model: LoadedModel
    prompt_ids: Sequence[int]
    encoded: Encoded
    out: Path
    on_rows: Callable[[int], None]

    def file(self, path: str, batch: Batch, encoder: ThreadPoolExecutor) -> FileEntry:
        """Captures one batch; each layer is written by `encoder` while the next is computed."""
        model = self.model
        ids = [self.prompt_ids[member] for member in batch.members]
        lengths = [len(self.encoded[member]) for member in batch.members]
        triangle = Triangle(ids, lengths, model.is_causal)
        with attention_file(self.out / path, triangle, model.name, model.precision) as file:
            self._write_layers(batch, triangle, file, encoder)
        return file_entry(self.out, path, file.rows, model.name)

    def _write_layers(
        self, batch: Batch, triangle: Triangle, file: AttentionFile, encoder: ThreadPoolExecutor
    ) -> None:
        import torch

        from ingest.producers.patterns import capture_patterns, stored_cells

        model = self.model
        token_ids = [self.encoded[member] for member in batch.members]
        cells = torch.from_numpy(triangle.flat_index(model.n_heads, batch.width)).to(model.device)
        pending: list[Future[None]] = []

        def write(layer: int, weights: torch.Tensor) -> None:
            file.write_layer(layer, weights.float().cpu().numpy())
            self.on_rows(weights.numel())

        def on_layer(layer: int, pattern: torch.Tensor) -> None:
            while len(pending) >= _PENDING_LAYERS:
                pending.pop(0).result()
            pending.append(encoder.submit(write, layer, stored_cells(pattern, cells)))

        try:
            capture_patterns(model, token_ids, batch.width, on_layer)
            while pending:
                pending.pop(0).result()
        finally:
            # After an error the file is abandoned; the writer must be idle before it is closed.
            for future in pending:
                with suppress(Exception):
                    future.result()
