"""The models of a dataset, loaded again from where they came, and seen to be the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.kernel.errors import InputError
from ingest.kernel.files import sha256_of
from ingest.models.options import LoadOptions
from ingest.models.source import ModelFiles, ModelSource, find_files, tokenizer_name

if TYPE_CHECKING:
    from ingest.dataset.manifest import ModelEntry
    from ingest.models.loaded import LoadedModel


def load_stored(
    entry: ModelEntry, device: str | None = None, now_at: str | None = None
) -> LoadedModel:
    """Loads a model as it ran for the dataset.

    device, now_at, Raises: as `find_stored`.
    """
    source, files, options = find_stored(entry, device, now_at)
    from ingest.models.load import load_model  # seconds, so only where a model is to run

    return load_model(ModelSource(source.name, entry.source), files, options)


def find_stored(
    entry: ModelEntry, device: str | None = None, now_at: str | None = None
) -> tuple[ModelSource, ModelFiles, LoadOptions]:
    """Finds a model as it ran for the dataset, and loads nothing.

    device: another than the one it ran on. now_at: the source that holds it now, None for the one
    that it was ingested from.

    Raises: InputError where it runs code of its own, or its source no longer holds its weights
    and its tokenizer.
    """
    if entry.device is None or entry.is_imported:
        raise InputError(
            f"the attention of {entry.name!r} was imported, so that no model makes it again",
            hint="import it again into a new folder, or ingest the model itself",
        )
    if entry.trust_remote_code:
        raise InputError(
            f"the model {entry.name!r} runs code of its own, which is not run again unasked",
            hint="ingest into a new folder with --trust-remote-code, if you trust it",
        )
    source = ModelSource(entry.name, now_at or pinned_source(entry))
    files = find_files(source)
    if files.weights_sha256() != entry.weights_sha256:
        raise InputError(
            f"{source.source} no longer holds the weights of {entry.name!r}"
            if now_at is None
            else f"{now_at} does not hold the weights of {entry.name!r}",
            hint="bring back the model's files, or ingest into a new folder",
        )
    if tokenizer_name(sha256_of(files.tokenizer)) != entry.tokenizer:
        raise InputError(
            f"{source.source} no longer holds the tokenizer of {entry.name!r}",
            hint="bring back the model's files, or ingest into a new folder",
        )
    options = LoadOptions(device or entry.device, entry.dtype, precision=entry.precision)
    return source, files, options


def pinned_source(entry: ModelEntry) -> str:
    """A model's source at the very revision that was read, where it came from a hub."""
    base = entry.source.partition("@")[0] if entry.revision else entry.source
    return f"{base}@{entry.revision}" if entry.revision else base
