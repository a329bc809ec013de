"""Whether a dataset holds what its contract promises, file by file and row by row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ingest.dataset.attention_rows import RowVerifier
from ingest.dataset.card import CARD_NAME, card_text
from ingest.dataset.checks import Check, Problem
from ingest.dataset.manifest import (
    BACKUP_NAME,
    MANIFEST_NAME,
    FileEntry,
    Manifest,
    ModelEntry,
    manifest_text,
    read_manifest,
)
from ingest.dataset.schemas import ATTENTION, TABLES, attention_schema
from ingest.kernel.errors import DatasetError

# Kept views name their own bytes; the stage that writes them checks them.
_ELSEWHERE = "views"
# What the manifest and the table `models` both say of a model.
_IN_BOTH = (
    "source",
    "revision",
    "weights_sha256",
    "architecture",
    "tokenizer",
    "dtype",
    "precision",
)
_OWN_SUFFIXES = (".parquet", ".partial", ".jsonl")


def verify(
    dataset: Path, quick: bool = False, on_rows: Callable[[int], None] = lambda rows: None
) -> list[Check]:
    """Holds a dataset against its contract.

    quick: no file is read as a whole, so neither checksums nor rows are looked at. on_rows: called
    with the number of attention rows that were read, now and then.

    A manifest that cannot be read is a problem and the only one found, as all else follows from it.

    Raises: DatasetError where the folder never was a dataset.
    """
    found = {
        name: Check(name, promise)
        for name, promise in (
            ("manifest", "it and its copy are as headswap writes them, checksum included"),
            ("card", "README.md is the one of this manifest"),
            ("files", "each is there, of its size, inside the dataset"),
            ("checksums", "each file has its SHA-256"),
            ("schemas", "each file has its columns and its number of rows"),
            ("tables", "models, prompts and tokens name each other, none twice"),
            ("rows", "every query of every head is there with each of its keys, once, in order"),
            ("sums", "weights are finite, not below 0, and sum to 1"),
            ("orphans", "no file lies there that the manifest does not name"),
        )
    }
    try:
        manifest = read_manifest(dataset)
    except DatasetError as error:
        if not (dataset / BACKUP_NAME).is_file():
            raise
        found["manifest"].hold(MANIFEST_NAME, str(error))
        return list(found.values())
    for name in (MANIFEST_NAME, BACKUP_NAME):
        found["manifest"].hold_text(dataset, name, manifest_text(manifest))
    found["card"].hold_text(dataset, CARD_NAME, card_text(manifest))
    sound = {
        entry.path
        for entry, schema in _expected_schemas(manifest)
        if _check_file(found, dataset, entry, quick)
        and _check_schema(found["schemas"], dataset, entry, schema)
    }
    tables = _read_tables(dataset, manifest, sound)
    if tables is not None:
        _check_tables(found["tables"], manifest, tables)
        if not quick and not found["tables"].problems:
            verifier = RowVerifier(dataset, tables, found["rows"], found["sums"], on_rows)
            for model in manifest.models:
                verifier.verify(model, [entry for entry in model.attention if entry.path in sound])
    for path in _orphans(dataset, manifest):
        found["orphans"].n_checked += 1
        found["orphans"].problems.append(
            Problem(path, "is not named by the manifest", is_superfluous=True)
        )
    return list(found.values())


def _check_file(found: dict[str, Check], dataset: Path, entry: FileEntry, quick: bool) -> bool:
    path = dataset / entry.path
    problem = None
    if not path.is_file():
        problem = "is missing"
    elif not path.resolve().is_relative_to(dataset.resolve()):
        problem = "is a link to outside of the dataset"
    elif (size := path.stat().st_size) != entry.bytes:
        problem = f"has {size:,} bytes instead of {entry.bytes:,}"
    if not found["files"].hold(entry.path, problem):
        return False
    if quick:
        return True
    is_intact = entry.is_intact(dataset)
    return found["checksums"].hold(entry.path, None if is_intact else "has other bytes")


def _expected_schemas(manifest: Manifest) -> Iterator[tuple[FileEntry, pa.Schema]]:
    """Every file of the dataset with the columns that it must have."""
    for table in sorted(manifest.tables):
        yield from ((entry, TABLES[table]) for entry in manifest.tables[table])
    for model in manifest.models:
        yield from ((entry, attention_schema(model.precision)) for entry in model.attention)


def _check_schema(check: Check, dataset: Path, entry: FileEntry, expected: pa.Schema) -> bool:
    try:
        metadata = pq.read_metadata(dataset / entry.path)
        schema = metadata.schema.to_arrow_schema()
    except (pa.ArrowException, OSError) as error:
        return check.hold(entry.path, f"is no readable Parquet file: {str(error).splitlines()[0]}")
    problem = None
    if not schema.equals(expected):
        table = re.split(r"[/.-]", entry.path, maxsplit=1)[0]
        problem = f"has other columns than the table {table}"
    elif metadata.num_rows != entry.rows:
        problem = f"has {metadata.num_rows:,} rows instead of {entry.rows:,}"
    return check.hold(entry.path, problem)


def _read_tables(dataset: Path, manifest: Manifest, sound: set[str]) -> dict[str, pa.Table] | None:
    """The small tables, None where one of their files is not sound."""
    tables = {}
    for name, schema in TABLES.items():
        if schema is ATTENTION:
            continue
        entries = manifest.tables.get(name, ())
        if not entries or any(entry.path not in sound for entry in entries):
            return None
        tables[name] = pa.concat_tables([pq.read_table(dataset / entry.path) for entry in entries])
    return tables


def _check_tables(check: Check, manifest: Manifest, tables: dict[str, pa.Table]) -> None:
    rows = {row["model"]: row for row in tables["models"].to_pylist()}
    check.hold("models.parquet", None if len(rows) == len(tables["models"]) else "names one twice")
    for model in manifest.models:
        row = rows.pop(model.name, None)
        check.hold("models.parquet", _model_problem(model, row, manifest))
    for name in rows:
        check.hold("models.parquet", f"has the model {name!r}, which the manifest lacks")
    ids = tables["prompts"]["prompt_id"].to_numpy()
    is_unique = len(np.unique(ids)) == len(ids)
    check.hold("prompts.parquet", None if is_unique else "has a prompt_id twice")
    tokens = tables["tokens"]
    for tokenizer in manifest.tokenizers:
        chosen = tokens.filter(pc.equal(tokens["tokenizer"], tokenizer))
        check.hold("tokens.parquet", _token_problem(tokenizer, chosen, ids))


def _model_problem(model: ModelEntry, row: dict[str, Any] | None, manifest: Manifest) -> str | None:
    if row is None:
        return f"lacks the model {model.name!r}"
    if model.tokenizer not in manifest.tokenizers:
        return f"{model.name!r} was read by a tokenizer that the manifest lacks"
    for name in _IN_BOTH:
        if row[name] != getattr(model, name):
            return f"says {name} = {row[name]!r} of {model.name!r}, not what the manifest says"
    if min(row["n_layers"], row["n_heads"]) < 1:
        return f"{model.name!r} has no heads"
    return None


def _token_problem(tokenizer: str, tokens: pa.Table, prompt_ids: NDArray[np.int32]) -> str | None:
    prompts, positions = (tokens[name].to_numpy() for name in ("prompt_id", "position"))
    order = np.lexsort((positions, prompts))
    prompts, positions = prompts[order], positions[order]
    present, starts, counts = np.unique(prompts, return_index=True, return_counts=True)
    if set(present.tolist()) != set(prompt_ids.tolist()):
        return f"{tokenizer} does not have the tokens of just the stored prompts"
    if (positions != np.arange(len(positions)) - np.repeat(starts, counts)).any():
        return f"{tokenizer} has positions that do not count 0, 1, 2, ... in each prompt"
    return None


def _orphans(dataset: Path, manifest: Manifest) -> Iterator[str]:
    named = {entry.path for entry in manifest.files()}
    for path in sorted(dataset.rglob("*")):
        below = path.relative_to(dataset)
        is_ours = path.suffix in _OWN_SUFFIXES and below.parts[0] != _ELSEWHERE
        if is_ours and not path.is_dir() and below.as_posix() not in named:
            yield below.as_posix()
