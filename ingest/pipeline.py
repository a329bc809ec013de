"""Ingest: the models run over the prompts once, and every attention weight becomes a row."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.dataset.commit import commit
from ingest.dataset.lock import check_unlocked, writing
from ingest.dataset.manifest import (
    MANIFEST_NAME,
    FileEntry,
    Manifest,
    ModelEntry,
    read_manifest,
)
from ingest.dataset.outside import check_outside_datasets
from ingest.dataset.relations import STORED_TABLES
from ingest.dataset.writer import write_table
from ingest.kernel.errors import HeadswapError, InputError
from ingest.kernel.files import sha256_of
from ingest.models.options import LoadOptions
from ingest.models.packages import needing_packages
from ingest.models.source import ModelFiles, ModelSource, find_files, tokenizer_name
from ingest.producers.attention import (
    close_journals,
    count_rows,
    model_folder,
    versions,
    write_attention,
)
from ingest.prompts.prompt_set import PromptSet
from ingest.prompts.reading import Reading
from ingest.prompts.sequence import encode_prompt
from ingest.readable import encode_all, encode_readable, stored_of

if TYPE_CHECKING:
    from ingest.models.loaded import LoadedModel
    from ingest.producers.attention import Captured, Encoded

# Measured: random weights, zstd; less where many weights are 0.
_BYTES_A_ROW = {"float32": 3.9, "float16": 2.0}
# What an ingest that never finished may have left in the folder, which is not yet a dataset.
_LEFT_BEHIND = re.compile(
    r"attention|\.lock|"
    r"(README\.md|(models|prompts|tokens)(-\d+)?\.parquet|manifest(\.backup)?\.json)(\.partial)?"
)


@dataclass(frozen=True)
class Estimate:
    """What an ingest is about to write. free_bytes: on the disk that it goes to."""

    prompts: int
    rows: int
    bytes: int
    free_bytes: int


@dataclass(frozen=True)
class Ingested:
    """What an ingest did.

    skipped: models that the dataset held already, unchanged. n_prompts: that the dataset holds.
    """

    manifest: Manifest
    added: tuple[str, ...]
    skipped: tuple[str, ...]
    n_prompts: int

    def rows(self, model: str) -> int:
        """Attention rows of one model."""
        return self.manifest.rows_of("attention", model)


@needing_packages()
def ingest(
    sources: Sequence[ModelSource],
    prompts: PromptSet,
    out: Path,
    reading: Reading | None = None,
    options: LoadOptions | None = None,
    on_checked: Callable[[Estimate | None], None] = lambda _: None,
    captured: Captured | None = None,
) -> Ingested:
    """Runs models over prompts into a dataset folder, made anew or added to.

    A dataset that exists must hold the same prompts; models that it lacks are added, a model that
    it holds under the same name with the same weights is skipped. Everything is checked before the
    first file is written, and the manifest is replaced once, after the last. What an interrupted
    ingest of the same models had written is taken over, so that running it again goes on.

    on_checked: called once everything was found to fit, with what will be written, None where
    nothing is. A dataset that was begun without the prompts that a model cannot read leaves out
    what it did then. captured: as in `write_attention`.

    Raises: InputError where the models, the prompts or the dataset cannot be used, or the packages
    that run models are not installed; HeadswapError where another ingest writes there, or the disk
    lacks the room.
    """
    options = options or LoadOptions()
    reading = reading or Reading()
    pattern = reading.pattern
    check_unlocked(out)
    manifest = _existing_manifest(out, prompts, reading)
    if manifest:
        prompts = stored_of(prompts, manifest)
    files = [find_files(source, options.trust_remote_code) for source in sources]
    new, skipped = [], []
    for source, found in zip(sources, files, strict=True):
        if manifest and (held := manifest.model(source.name)):
            _check_same_model(held, found, options, out)
            skipped.append(source.name)
        else:
            new.append((source, found))
    models = [load(source, found, options) for source, found in new]
    left_out = manifest.left_out if manifest else None
    if manifest or not reading.skip_unreadable or not models:
        encoded = [encode_all(model, prompts) for model in models]
    else:
        prompts, encoded, left_out = encode_readable(models, prompts)
    if not models:
        if manifest is None:
            raise InputError(
                "there is no model to ingest", hint="name one with --model NAME=SOURCE"
            )
        on_checked(None)
        commit(out, manifest)
        return Ingested(manifest, (), tuple(skipped), len(prompts.prompts))
    with writing(out):
        if _existing_manifest(out, prompts, reading) != manifest:
            raise HeadswapError(
                f"another ingest changed {out} while the models were loaded", hint="run again"
            )
        on_checked(_check_room(models, encoded, out))
        for model, tokens in zip(models, encoded, strict=True):
            if manifest is None:
                manifest = replace(
                    _new_manifest(prompts, reading.structural, out), left_out=left_out
                )
            attention = write_attention(model, prompts, tokens, out, captured)
            manifest = _with_model(manifest, model, prompts, pattern, attention, out)
        assert manifest is not None
        commit(out, manifest)
        close_journals(out, [model.name for model in manifest.models])
    added = tuple(model.name for model in models)
    return Ingested(manifest, added, tuple(skipped), len(prompts.prompts))


def _check_room(models: Sequence[LoadedModel], encoded: Sequence[Encoded], out: Path) -> Estimate:
    """Stops before the first row where the disk cannot hold them all."""
    rows = list(map(count_rows, models, encoded))
    sizes = (
        count * _BYTES_A_ROW[model.precision] for count, model in zip(rows, models, strict=True)
    )
    folders = [out / model_folder(model.name) for model in models]
    there = sum(path.stat().st_size for folder in folders for path in folder.glob("*.parquet"))
    estimate = Estimate(len(encoded[0]), sum(rows), round(sum(sizes)), shutil.disk_usage(out).free)
    if estimate.bytes - there > estimate.free_bytes:
        raise HeadswapError(
            f"{estimate.rows:,} rows need about {(estimate.bytes - there) / 1e9:,.1f} GB, but the "
            f"disk of {out} has {estimate.free_bytes / 1e9:,.1f} GB left",
            hint="make room, choose another place with --out, or ingest fewer prompts",
        )
    return estimate


def _existing_manifest(out: Path, prompts: PromptSet, reading: Reading) -> Manifest | None:
    """The manifest of the dataset at `out`, None where there is no dataset yet."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file", hint="give a folder")
    if not (out / MANIFEST_NAME).exists():
        names = sorted(path.name for path in out.iterdir()) if out.exists() else []
        foreign = [name for name in names if not _LEFT_BEHIND.fullmatch(name)]
        if foreign:
            raise InputError(
                f"{out} is neither empty nor a dataset (it holds {foreign[0]})",
                hint="give a new or empty folder",
            )
        check_outside_datasets(out)
        return None
    manifest = read_manifest(out)
    if manifest.structural != reading.structural:
        raise InputError(
            f"{out} was made with --structural {manifest.structural!r}, not {reading.structural!r}",
            hint="a dataset has one choice of structural tokens",
        )
    if manifest.left_out and not reading.skip_unreadable:
        raise InputError(
            f"{out} was made with --skip-unreadable, which left out {len(manifest.left_out):,} "
            "of the prompts",
            hint="give --skip-unreadable, too: the dataset's other prompts are then read",
        )
    if manifest.prompts_sha256 != stored_of(prompts, manifest).sha256:
        raise InputError(
            f"{out} is a dataset of other prompts than {prompts.path} (variant {prompts.variant})",
            hint="a dataset has one set of prompts; give another folder",
        )
    return manifest


def _check_same_model(held: ModelEntry, files: ModelFiles, options: LoadOptions, out: Path) -> None:
    hint = "give the new one another name, or another folder"
    is_same_tokenizer = held.tokenizer == tokenizer_name(sha256_of(files.tokenizer))
    if held.weights_sha256 != files.weights_sha256() or not is_same_tokenizer:
        raise InputError(
            f"{out} already holds another model named {held.name!r} (from {held.source})",
            hint=hint,
        )
    if (held.dtype, held.precision) != (options.dtype, options.precision):
        raise InputError(
            f"{out} already holds {held.name!r} as it runs in {held.dtype}, stored as "
            f"{held.precision}, not in {options.dtype}, stored as {options.precision}",
            hint=hint,
        )


def load(source: ModelSource, files: ModelFiles, options: LoadOptions) -> LoadedModel:
    """Loads a model, as `ingest.models.load.load_model`."""
    from ingest.models.load import load_model  # seconds, so only where a model is to run

    return load_model(source, files, options)


def _new_manifest(prompts: PromptSet, structural: str | None, out: Path) -> Manifest:
    """Writes the prompts and returns the manifest of a dataset that has no model yet."""
    rows = prompts.rows()
    return Manifest(
        variant=prompts.variant,
        structural=structural,
        prompts_sha256=prompts.sha256,
        tokenizers={},
        models=(),
        tables={"prompts": (write_table(out, _next_path("prompts", None), "prompts", rows),)},
        written_with=versions(),
    )


def _with_model(
    manifest: Manifest,
    model: LoadedModel,
    prompts: PromptSet,
    pattern: re.Pattern[str] | None,
    attention: tuple[FileEntry, ...],
    out: Path,
) -> Manifest:
    """Writes the model's rows of the small tables and returns the manifest that names them."""
    # Files are added, never rewritten: whatever an earlier manifest names stays as it is.
    tables: dict[str, tuple[FileEntry, ...]] = {}
    path = _next_path("models", manifest)
    tables["models"] = (write_table(out, path, "models", [model.row()], model.name),)
    tables["attention"] = attention
    tokenizers = dict(manifest.tokenizers)
    if model.tokenizer_name not in tokenizers:
        rows = token_rows(model, prompts, pattern)
        path = _next_path("tokens", manifest)
        tables["tokens"] = (write_table(out, path, "tokens", rows, model.tokenizer_name),)
        tokenizers[model.tokenizer_name] = model.tokenizer_sha256
    entry = ModelEntry(
        name=model.name,
        source=model.source,
        revision=model.revision,
        weights_sha256=model.weights_sha256,
        architecture=model.architecture,
        tokenizer=model.tokenizer_name,
        dtype=model.dtype,
        precision=model.precision,
        device=model.device,
        trust_remote_code=model.trust_remote_code,
        config=model.config,
    )
    return manifest.with_model(entry, tables, tokenizers)


def _next_path(table: str, manifest: Manifest | None) -> str:
    """The path of one more file of a table; manifest: None where there is no file yet."""
    return STORED_TABLES[table].path(len(manifest.files_of(table)) if manifest else 0)


def token_rows(
    model: LoadedModel, prompts: PromptSet, pattern: re.Pattern[str] | None
) -> Iterator[dict[str, Any]]:
    """The rows of the table `tokens` for a model's tokenizer."""
    for prompt in prompts.prompts:
        tokens = encode_prompt(model.tokenizer, prompt, pattern)
        for position, token in enumerate(tokens):
            place = {"prompt_id": prompt.prompt_id, "position": position}
            yield {"tokenizer": model.tokenizer_name, **place, **vars(token)}
