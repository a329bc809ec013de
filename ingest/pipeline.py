"""Ingest: the models run over the prompts once, and every attention weight becomes a row."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.batches import Batch, plan_batches
from ingest.card import write_card
from ingest.dataset.errors import InputError
from ingest.dataset.files import sha256_of
from ingest.dataset.manifest import (
    MANIFEST_NAME,
    FileEntry,
    Manifest,
    ModelEntry,
    read_manifest,
    write_manifest,
)
from ingest.dataset.writer import (
    AttentionFile,
    Triangle,
    attention_file,
    file_entry,
    write_table,
)
from ingest.models.options import LoadOptions
from ingest.models.source import ModelFiles, ModelSource, find_files, tokenizer_name
from ingest.progress import Progress
from ingest.prompts import PromptSet
from ingest.sequence import (
    EncodedToken,
    encode_sequence,
    encode_text,
    structural_pattern,
    with_structural,
)

if TYPE_CHECKING:
    import torch

    from ingest.models.loaded import LoadedModel

_LIBRARIES = ("torch", "transformers", "transformer-lens", "tokenizers", "pyarrow")
# Layers that may wait to be written while the model computes on; bounds the memory they take.
_PENDING_LAYERS = 2
# What an ingest that never finished may have left in the folder: no dataset, and none's either.
_LEFT_BEHIND = re.compile(
    r"attention|README\.md|((models|prompts|tokens)(-\d+)?\.parquet|manifest\.json)(\.partial)?"
)


# The tokens of each prompt, in the prompt set's order.
Encoded = Sequence[Sequence[EncodedToken]]


@dataclass(frozen=True)
class Ingested:
    """What an ingest did. skipped: models that the dataset held already, unchanged."""

    manifest: Manifest
    added: tuple[str, ...]
    skipped: tuple[str, ...]

    def rows(self, model: str) -> int:
        """Attention rows of one model."""
        entry = self.manifest.model(model)
        return sum(file.rows for file in entry.attention) if entry else 0


def ingest(
    sources: Sequence[ModelSource],
    prompts: PromptSet,
    out: Path,
    structural: str | None = None,
    options: LoadOptions | None = None,
) -> Ingested:
    """Runs models over prompts into a dataset folder, made anew or added to.

    A dataset that exists must hold the same prompts; models that it lacks are added, a model that
    it holds under the same name with the same weights is skipped. Everything is checked before the
    first file is written, and the manifest is replaced once, after the last.

    structural: a regular expression that chooses the structural tokens by their text, in place of
    the markers or special tokens.

    Raises: InputError where the models, the prompts or the dataset cannot be used.
    """
    options = options or LoadOptions()
    pattern = structural_pattern(structural)
    manifest = _existing_manifest(out, prompts, structural)
    files = [find_files(source, options.trust_remote_code) for source in sources]
    new, skipped = [], []
    for source, found in zip(sources, files, strict=True):
        if manifest and (held := manifest.model(source.name)):
            _check_same_model(held, found, options, out)
            skipped.append(source.name)
        else:
            new.append((source, found))
    models = [_load(source, found, options) for source, found in new]
    encoded = [_encode_all(model, prompts, pattern) for model in models]
    added = []
    for model, tokens in zip(models, encoded, strict=True):
        if manifest is None:
            manifest = _new_manifest(prompts, structural, out)
        attention = _write_attention(model, prompts, tokens, out)
        manifest = _with_model(manifest, model, prompts, tokens, attention, out)
        added.append(model.name)
    if manifest is None:
        raise InputError("there is no model to ingest", hint="name one with --model NAME=SOURCE")
    if added:
        write_card(out, manifest)
        write_manifest(out, manifest)
    return Ingested(manifest, tuple(added), tuple(skipped))


def _existing_manifest(out: Path, prompts: PromptSet, structural: str | None) -> Manifest | None:
    """The manifest of the dataset at `out`, None where there is no dataset yet."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file", hint="give a folder with --out")
    if not (out / MANIFEST_NAME).exists():
        names = sorted(path.name for path in out.iterdir()) if out.exists() else []
        foreign = [name for name in names if not _LEFT_BEHIND.fullmatch(name)]
        if foreign:
            raise InputError(
                f"{out} is not empty and no dataset (it holds {foreign[0]})",
                hint="give a new or empty folder with --out",
            )
        return None
    manifest = read_manifest(out)
    if manifest.structural != structural:
        raise InputError(
            f"{out} was made with --structural {manifest.structural!r}, not {structural!r}",
            hint="a dataset has one choice of structural tokens",
        )
    if manifest.prompts_sha256 != prompts.sha256:
        raise InputError(
            f"{out} is a dataset of other prompts than {prompts.path} (variant {prompts.variant})",
            hint="a dataset has one set of prompts; give another folder with --out",
        )
    return manifest


def _check_same_model(held: ModelEntry, files: ModelFiles, options: LoadOptions, out: Path) -> None:
    hint = "give the new one another name, or another folder with --out"
    is_same_tokenizer = held.tokenizer == tokenizer_name(sha256_of(files.tokenizer))
    if held.weights_sha256 != files.weights_sha256() or not is_same_tokenizer:
        raise InputError(
            f"{out} already holds another model named {held.name!r} (from {held.source})",
            hint=hint,
        )
    if held.dtype != options.dtype:
        raise InputError(
            f"{out} already holds {held.name!r} as it runs in {held.dtype}, not {options.dtype}",
            hint=hint,
        )


def _load(source: ModelSource, files: ModelFiles, options: LoadOptions) -> LoadedModel:
    from ingest.models.load import load_model  # seconds, so only where a model is to run

    return load_model(source, files, options)


def _encode_all(model: LoadedModel, prompts: PromptSet, pattern: re.Pattern[str] | None) -> Encoded:
    """Every prompt as the model's tokenizer sees it.

    Raises: InputError where a prompt has no token, or more than the model's context.
    """
    encoded = []
    for prompt in prompts.prompts:
        if prompt.task is not None and prompt.steps is not None:
            tokens = encode_sequence(model.tokenizer, prompt.task, prompt.steps)
        else:
            tokens = encode_text(model.tokenizer, prompt.text)
        if not tokens:
            raise InputError(
                f"{prompt.where}: the tokenizer of {model.name!r} makes no token of it"
            )
        if len(tokens) > model.n_ctx:
            raise InputError(
                f"{prompt.where}: the prompt has {len(tokens)} tokens, "
                f"but model {model.name!r} reads at most {model.n_ctx}",
                hint="shorten the prompt, or leave it out",
            )
        encoded.append(with_structural(tokens, pattern))
    return encoded


def _write_attention(
    model: LoadedModel, prompts: PromptSet, encoded: Encoded, out: Path
) -> tuple[FileEntry, ...]:
    """Captures and writes the attention of one model, one file a batch."""
    lengths = [len(tokens) for tokens in encoded]
    batches = plan_batches(lengths, model.n_heads)
    cells = sum(n * (n + 1) // 2 if model.is_causal else n * n for n in lengths)
    progress = Progress(f"{model.name:<14}", cells * model.n_layers * model.n_heads)
    entries = []
    with ThreadPoolExecutor(max_workers=1) as encoder:
        for number, batch in enumerate(batches):
            path = f"attention/model={model.name}/part-{number:05d}.parquet"
            ids = [prompts.prompts[member].prompt_id for member in batch.members]
            triangle = Triangle(ids, [lengths[member] for member in batch.members], model.is_causal)
            with attention_file(out / path, triangle, model.n_heads) as file:
                _write_batch(model, batch, encoded, triangle, file, encoder, progress)
            entries.append(file_entry(out, path, file.rows))
    progress.close()
    return tuple(entries)


def _write_batch(
    model: LoadedModel,
    batch: Batch,
    encoded: Encoded,
    triangle: Triangle,
    file: AttentionFile,
    encoder: ThreadPoolExecutor,
    progress: Progress,
) -> None:
    """Captures one batch; each layer is written by `encoder` while the next is computed."""
    import torch

    from ingest.capture import capture_patterns

    token_ids = [[token.token_id for token in encoded[member]] for member in batch.members]
    cells = torch.from_numpy(triangle.flat_index(batch.width)).to(model.device)
    pending: list[Future[None]] = []

    def write(layer: int, pattern: torch.Tensor) -> None:
        by_head = pattern.transpose(0, 1).reshape(model.n_heads, -1)  # [head, prompt*query*key]
        weights = by_head.index_select(1, cells).float().cpu().numpy()  # [head, row]
        file.write_layer(layer, weights)
        progress.add(weights.size)

    def on_layer(layer: int, pattern: torch.Tensor) -> None:
        while len(pending) >= _PENDING_LAYERS:
            pending.pop(0).result()
        pending.append(encoder.submit(write, layer, pattern))

    try:
        capture_patterns(model, token_ids, batch.width, on_layer)
        while pending:
            pending.pop(0).result()
    finally:
        # After an error the file is abandoned; the writer must be idle before it is closed.
        for future in pending:
            with suppress(Exception):
                future.result()


def _new_manifest(prompts: PromptSet, structural: str | None, out: Path) -> Manifest:
    """Writes the prompts and returns the manifest of a dataset that has no model yet."""
    rows = [prompt.row() for prompt in prompts.prompts]
    return Manifest(
        variant=prompts.variant,
        structural=structural,
        prompts_sha256=prompts.sha256,
        tokenizers={},
        models=(),
        tables={"prompts": (write_table(out, "prompts.parquet", "prompts", rows),)},
        written_with=_versions(),
    )


def _with_model(
    manifest: Manifest,
    model: LoadedModel,
    prompts: PromptSet,
    encoded: Encoded,
    attention: tuple[FileEntry, ...],
    out: Path,
) -> Manifest:
    """Writes the model's rows of the small tables and returns the manifest that names them."""
    # Files are added, never rewritten: whatever an earlier manifest names stays as it is.
    tables: dict[str, tuple[FileEntry, ...]] = {}
    models_path = _numbered("models", len(manifest.models))
    tables["models"] = (write_table(out, models_path, "models", [model.row()]),)
    tokenizers = dict(manifest.tokenizers)
    if model.tokenizer_name not in tokenizers:
        tokens_path = _numbered("tokens", len(tokenizers))
        rows = _token_rows(model.tokenizer_name, prompts, encoded)
        tables["tokens"] = (write_table(out, tokens_path, "tokens", rows),)
        tokenizers[model.tokenizer_name] = model.tokenizer_sha256
    entry = ModelEntry(
        name=model.name,
        source=model.source,
        revision=model.revision,
        weights_sha256=model.weights_sha256,
        architecture=model.architecture,
        tokenizer=model.tokenizer_name,
        dtype=model.dtype,
        device=model.device,
        trust_remote_code=model.trust_remote_code,
        config=model.config,
        attention=attention,
    )
    return manifest.with_model(entry, tables, tokenizers)


def _numbered(table: str, earlier: int) -> str:
    return f"{table}-{earlier + 1}.parquet" if earlier else f"{table}.parquet"


def _token_rows(tokenizer: str, prompts: PromptSet, encoded: Encoded) -> list[dict[str, Any]]:
    return [
        {"tokenizer": tokenizer, "prompt_id": prompt.prompt_id, "position": position} | vars(token)
        for prompt, tokens in zip(prompts.prompts, encoded, strict=True)
        for position, token in enumerate(tokens)
    ]


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("headswap", *_LIBRARIES)}
