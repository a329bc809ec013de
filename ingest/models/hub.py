"""Models on the hub: a repository at a revision becomes a folder in huggingface_hub's cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.kernel.errors import HeadswapError, InputError
from ingest.kernel.files import sha256_of, write_text_aside
from ingest.kernel.hub import COMMIT, HubId, explained

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

_BUNDLE, _CONFIG, _TOKENIZER = "hooked_transformer.pt", "config.json", "tokenizer.json"
_EXTRAS = ("tokenizer_config.json", "special_tokens_map.json", "generation_config.json")
_WEIGHTS, _INDEX, _CODE = "*.safetensors", "*.safetensors.index.json", "*.py"

_ONCE_ONLINE = "run it once with a network and without HF_HUB_OFFLINE"


@dataclass(frozen=True)
class Snapshot:
    """A model's files, other files perhaps among them, and their commit in 40 digits."""

    folder: Path
    revision: str


def fetch_snapshot(hub_id: HubId, *, allow_code: bool = False) -> Snapshot:
    """Resolves the revision to a commit and downloads what of it the cache lacks.

    Nothing is asked for but what a model needs, `*.py` only where `allow_code`. Where
    HF_HUB_OFFLINE is set, an earlier download is found or nothing is.

    Raises: InputError where the user can mend it (no such repository, revision or file; private,
    gated, not in the cache), HeadswapError where the network or the disk fails.
    """
    from huggingface_hub import HfApi, constants, hf_hub_download, try_to_load_from_cache

    storage = _storage(hub_id)
    reference = storage / "refs" / hub_id.revision
    known = reference.read_text(encoding="utf-8").strip() if reference.is_file() else None
    if constants.is_offline_mode():
        return _cached_snapshot(hub_id, known or hub_id.revision)
    with explained(hub_id):
        info = HfApi().model_info(
            hub_id.repo_id,
            revision=hub_id.revision,
            files_metadata=True,
            timeout=constants.HF_HUB_ETAG_TIMEOUT,  # this call of the client has no default
        )
        commit, listed = info.sha, {file.rfilename: file for file in info.siblings or []}
        if commit is None or not COMMIT.fullmatch(commit):
            raise ValueError(f"it names no commit but {commit!r}")
    folder = storage / "snapshots" / commit
    # By hand and not by the client's patterns, which reach into the folders of a repository.
    files = {name: file for name, file in listed.items() if "/" not in name}
    if not (lacking := _lacking(files, folder)):
        for name in _wanted(files, allow_code):
            cached = try_to_load_from_cache(hub_id.repo_id, name, revision=commit)
            with explained(hub_id, name):
                path = Path(hf_hub_download(hub_id.repo_id, name, revision=commit))
                _check_content(path, files[name], is_new=not isinstance(cached, str))
        lacking = _lacking(files, folder)
    if lacking:
        needed = f"a model is {_BUNDLE}, or {_CONFIG} and {_WEIGHTS}, with its {_TOKENIZER}"
        raise InputError(f"{hub_id} holds {lacking}", hint=needed)
    if commit not in (hub_id.revision, known):
        # Last, so that the branch leads to a whole snapshot; only later calls offline need it.
        with suppress(HeadswapError):
            write_text_aside(reference, commit)
    return Snapshot(folder, commit)


def _storage(hub_id: HubId) -> Path:
    """Where the client keeps a repository; it documents the name and `refs` and `snapshots`."""
    from huggingface_hub import constants

    name = "--".join(["models", *hub_id.repo_id.split("/")])
    return Path(constants.HF_HUB_CACHE).expanduser().resolve() / name


def _cached_snapshot(hub_id: HubId, commit: str) -> Snapshot:
    storage = _storage(hub_id)
    folder = storage / "snapshots" / commit
    if not COMMIT.fullmatch(commit) or not folder.is_dir():
        problem = f"{hub_id} is not in the cache {storage.parent} and HF_HUB_OFFLINE is set"
        raise InputError(problem, hint=_ONCE_ONLINE)
    if lacking := _lacking([path.name for path in folder.iterdir() if path.is_file()], folder):
        raise InputError(f"the cached copy of {hub_id} holds {lacking}", hint=_ONCE_ONLINE)
    return Snapshot(folder, commit)


def _lacking(names: Collection[str], folder: Path) -> str | None:
    """What a model needs and `names` lack; `folder` may hold an index of its weights by now."""
    if _BUNDLE not in names:
        if _CONFIG not in names or not any(fnmatchcase(name, _WEIGHTS) for name in names):
            return f"neither {_BUNDLE} nor {_CONFIG} and {_WEIGHTS}"
        for index in sorted(folder.glob(_INDEX)):
            try:
                shards = set(json.loads(index.read_bytes())["weight_map"].values())
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                return f"no readable {index.name}"
            if absent := sorted(shards - set(names)):
                return f"no {absent[0]}, which {index.name} names"
    return None if _TOKENIZER in names else f"no {_TOKENIZER}"


def _wanted(names: Collection[str], allow_code: bool) -> list[str]:
    """The files to download, weights last: where they are, all the others are too.

    >>> _wanted(["model.safetensors", "tokenizer.json", "model.py"], False)
    ['tokenizer.json', 'model.safetensors']
    """
    is_bundle = _BUNDLE in names
    weights = _BUNDLE if is_bundle else _WEIGHTS
    patterns = [_CONFIG, _TOKENIZER, *_EXTRAS, weights]
    patterns += [_CODE] * allow_code + [_INDEX] * (not is_bundle)
    found = [n for n in names if any(fnmatchcase(n, pattern) for pattern in patterns)]
    return sorted(found, key=lambda name: (fnmatchcase(name, weights), name))


def _check_content(path: Path, announced: RepoSibling, *, is_new: bool) -> None:
    """Holds a file against what the hub says of it; the client itself compares sizes only."""
    size = path.stat().st_size
    is_right = announced.size in (None, size)
    if is_right and is_new and announced.lfs:
        is_right = sha256_of(path) == announced.lfs.sha256
    elif is_right and is_new and announced.blob_id:
        blob = b"blob %d\0" % size + path.read_bytes()
        is_right = hashlib.sha1(blob, usedforsecurity=False).hexdigest() == announced.blob_id
    if not is_right:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise OSError(f"its {size} bytes are not what the hub announced; they were removed")
