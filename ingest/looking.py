"""Models on one text: what they attend to as a small dataset, kept in the user's cache."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.dataset.manifest import FORMAT_VERSION, MANIFEST_NAME, read_manifest
from ingest.dataset.reader import open_dataset
from ingest.kernel.errors import DatasetError, InputError
from ingest.kernel.files import sha256_of
from ingest.kernel.user_folders import cache_folder
from ingest.models.options import LoadOptions
from ingest.models.source import DEMO_PREFIX, ModelFiles, ModelSource, find_files
from ingest.models.stored import find_stored
from ingest.prompts.prompt_set import PromptSet, prompt_set_of

_TEXT = "the sentence"
# Texts that the cache holds before those looked at longest ago go.
_MOST_TEXTS = 100
_FOLDER = "look"
_LONGEST_NAME = 64


@dataclass(frozen=True)
class ModelToRun:
    """A model that was found, not yet loaded."""

    source: ModelSource
    files: ModelFiles
    options: LoadOptions


def find_models(
    source: str, names: Sequence[str] = (), options: LoadOptions | None = None
) -> list[ModelToRun]:
    """The models that a source names.

    source: a model as `headswap ingest` takes it, or the folder of a dataset, whose models are
    found where they came from. names: of the dataset's models; none for its first. options: None
    for the defaults, of a dataset for how its models ran.

    Raises: InputError where there is no such model.
    """
    folder = Path(source)
    if not (folder / MANIFEST_NAME).is_file():
        known = [_name_of(source)]
        _check_known(names, known, source)
        found = ModelSource(known[0], source)
        chosen = options or LoadOptions()
        return [ModelToRun(found, find_files(found, chosen.trust_remote_code), chosen)]
    manifest = read_manifest(folder)
    _check_known(names, [entry.name for entry in manifest.models], source)
    entries = [entry for entry in manifest.models if entry.name in names] or manifest.models[:1]
    device = options.device if options else None
    return [ModelToRun(*find_stored(entry, device)) for entry in entries]


def attention_on(text: str, models: Sequence[ModelToRun], keep: Path | None = None) -> Path:
    """The dataset of some models on one text: that of an earlier look, or made by running them.

    keep: the folder that becomes the dataset, None for one in the user's cache.

    Raises: InputError where the text is empty or longer than a model's context, the extra that runs
    models is not installed, or `keep` holds something else; HeadswapError where the disk lacks the
    room.
    """
    if not text.strip():
        raise InputError(f"{_TEXT} is empty", hint='give one, as in "The cat sat on the mat"')
    prompts = prompt_set_of([(_TEXT, {"text": text})], Path(_TEXT), "standard")
    if keep is not None:
        _run(models, prompts, keep)
        return keep
    folder = _cached(prompts, models)
    if folder.exists() and not _is_whole(folder):
        print(f"{folder} is damaged: made again", file=sys.stderr)
        shutil.rmtree(folder)
    if not (folder / MANIFEST_NAME).is_file():
        _run(models, prompts, folder)
        _forget_oldest(folder.parents[1])
    os.utime(folder.parent)
    return folder


def _run(models: Sequence[ModelToRun], prompts: PromptSet, out: Path) -> None:
    from ingest.pipeline import ingest  # not at the top: a second look needs none of it

    for model in models:
        ingest([model.source], prompts, out, options=model.options)


def _cached(prompts: PromptSet, models: Sequence[ModelToRun]) -> Path:
    """Where the cache has the dataset, or will have it: named by all that its rows rest on."""
    cache = cache_folder()
    if cache is None:
        raise InputError(
            "this user has no cache folder to keep the attention in",
            hint="name a folder with --keep, or set XDG_CACHE_HOME",
        )
    basis = [FORMAT_VERSION, prompts.sha256] + [
        [
            model.source.name,
            model.source.source,
            model.files.weights_sha256(),
            sha256_of(model.files.tokenizer),
            model.options.dtype,
            model.options.precision,
        ]
        for model in models
    ]
    key = hashlib.sha256(json.dumps(basis).encode()).hexdigest()
    return cache / _FOLDER / key[:16] / "dataset"


def _is_whole(folder: Path) -> bool:
    """Whether a folder of the cache is a dataset, or one that is still to be finished."""
    if not (folder / MANIFEST_NAME).is_file():
        return True
    try:
        open_dataset(folder)
    except DatasetError:
        return False
    return True


def _forget_oldest(cache: Path) -> None:
    """Removes from the cache what was looked at longest ago."""
    folders = sorted(cache.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in folders[_MOST_TEXTS:]:
        shutil.rmtree(folder)


def _name_of(source: str) -> str:
    """What a model is called that was given without a name.

    >>> _name_of("demo:adhd"), _name_of("models/My Model/"), _name_of("openai-community/gpt2@main")
    ('adhd', 'My-Model', 'gpt2')
    """
    last = Path(source.removeprefix(DEMO_PREFIX)).name.partition("@")[0]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", last).lstrip("._-")[:_LONGEST_NAME]
    return name or "model"


def _check_known(names: Sequence[str], known: Sequence[str], source: str) -> None:
    if unknown := next((name for name in names if name not in known), None):
        raise InputError(f"{source} has no model {unknown!r}", hint=f"it has {', '.join(known)}")
