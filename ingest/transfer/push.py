"""The command `headswap push`: a dataset, in the state that its manifest names, onto the hub."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ingest.kernel.command_line import json_option
from ingest.kernel.errors import DatasetError, HeadswapError, InputError

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.hf_api import DatasetInfo, RepoSibling

    from ingest.dataset.manifest import Manifest
    from ingest.kernel.hub import HubId

# Beside the files that the manifest names: itself, its copy, and what is made from it.
_COMPANIONS = (
    "README.md",
    "croissant.json",
    "findings.md",
    "findings.png",
    "views.sql",
    "manifest.backup.json",
    "manifest.json",
)
# Files whose upload is begun together; what came whole is not sent again.
_FILES_AT_A_TIME = 8


@dataclass(frozen=True)
class Pushed:
    """What a push came to.

    address: where the dataset lies now, at its commit; sent, kept, removed: paths of files that
    travelled, that were there already, and that the dataset no longer has; n_bytes: of those sent.
    """

    address: str
    commit: str
    sent: tuple[str, ...]
    kept: tuple[str, ...]
    removed: tuple[str, ...]
    n_bytes: int


@click.command
@click.argument("dataset", metavar="DATASET", type=Path, help="the folder that ingest wrote")
@click.argument("repository", metavar="ORG/NAME", help="the dataset repository; made where missing")
@click.option("--private", is_flag=True, help="make the repository private, where it is made")
@click.option("--revision", metavar="BRANCH", default="main", help="the branch (default: main)")
@click.option(
    "--license",
    "licence",
    metavar="ID",
    help="what others may do with it, as the hub names it, for instance mit or cc-by-4.0; noted in "
    "the dataset, too",
)
@click.option(
    "--findings",
    is_flag=True,
    help="say on the card what the tests of matches found, with a figure; computed where it was "
    "not before",
)
@json_option("what was done")
def command(
    dataset: Path,
    repository: str,
    private: bool,
    revision: str,
    as_json: bool,
) -> int:
    """Sends what the hub lacks of a dataset, and commits it in one step.

    A licence is noted, and findings are made, before: `headswap.commands` takes these two options.
    """
    pushed = push(dataset, _branch(repository, revision), is_private=private)
    if as_json:
        print(json.dumps(asdict(pushed)))
        return 0
    removed = f", {len(pushed.removed)} removed" if pushed.removed else ""
    print(
        f"{len(pushed.sent)} files sent ({pushed.n_bytes:,} bytes), "
        f"{len(pushed.kept)} there already{removed}",
        file=sys.stderr,
    )
    print(pushed.address)
    return 0


def prepare(dataset: Path, repository: str, revision: str, licence: str | None) -> None:
    """Refuses what cannot be pushed before anything is written; notes in the dataset its licence.

    Raises: InputError where a name cannot be one; DatasetError where there is no dataset.
    """
    from ingest.dataset.commit import commit
    from ingest.dataset.lock import writing
    from ingest.dataset.manifest import LICENCE_PATTERN
    from ingest.dataset.reader import open_dataset

    _branch(repository, revision)
    if licence is not None and not LICENCE_PATTERN.fullmatch(licence):
        raise InputError(f"{licence!r} names no licence", hint="for instance mit or cc-by-4.0")
    manifest = open_dataset(dataset).manifest
    if licence is not None:
        with writing(dataset):
            commit(dataset, replace(manifest, licence=licence))


def _branch(repository: str, revision: str) -> HubId:
    from ingest.kernel.hub import parse_hub_id

    hub_id = parse_hub_id(f"{repository}@{revision}", "dataset")
    if hub_id is None or "@" in repository:
        raise InputError(
            f"{repository!r} at {revision!r} cannot be a branch of a repository",
            hint="write the repository as ORG/NAME",
        )
    return hub_id


def push(dataset: Path, hub_id: HubId, *, is_private: bool = False) -> Pushed:
    """Makes a branch of a repository hold a dataset.

    Only files that differ travel, large ones first; the commit comes last, so that readers see the
    earlier state until then. A push that broke off goes on with the files that lack.

    Raises: DatasetError where the dataset is damaged; InputError where the repository cannot be
    written; HeadswapError where the network fails or the branch was moved meanwhile.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    manifest = _checked(dataset, hub_id.repo_id)
    api = HfApi()
    with _explained(hub_id):
        info = _repository(api, hub_id, is_private)
        there = {file.rfilename: file for file in info.siblings or []}
        paths = [entry.path for entry in manifest.files()]
        paths += [name for name in _COMPANIONS if (dataset / name).is_file()]
        lacking = [path for path in paths if not _is_there(dataset / path, there.get(path))]
        removed = _no_longer(hub_id, info, there, paths)
        commit = info.sha
        if lacking or removed:
            additions = [CommitOperationAdd(path, dataset / path) for path in lacking]
            _upload(api, hub_id, additions)
            deletions = [CommitOperationDelete(path) for path in removed]
            done = api.create_commit(
                hub_id.repo_id,
                [*additions, *deletions],
                commit_message=_message(manifest),
                repo_type="dataset",
                revision=hub_id.revision,
                parent_commit=info.sha,
            )
            commit = done.oid
    assert commit is not None  # `_repository` has seen to it
    return Pushed(
        address=f"hf://datasets/{hub_id.repo_id}@{commit}",
        commit=commit,
        sent=tuple(lacking),
        kept=tuple(path for path in paths if path not in set(lacking)),
        removed=tuple(removed),
        n_bytes=sum((dataset / path).stat().st_size for path in lacking),
    )


def _checked(dataset: Path, home: str) -> Manifest:
    """The manifest of a dataset whose every file was seen to be the one that it names."""
    from ingest.dataset.commit import commit
    from ingest.dataset.lock import writing
    from ingest.dataset.reader import open_dataset
    from ingest.kernel.progress import Progress

    manifest = open_dataset(dataset).manifest
    n_bytes = sum(entry.bytes for entry in manifest.files())
    with writing(dataset), Progress("checking", n_bytes, "bytes") as progress:
        for entry in manifest.files():
            if not entry.is_intact(dataset):
                raise DatasetError(
                    f"{dataset / entry.path} does not have the SHA-256 that the manifest says",
                    hint="`headswap verify --repair` may mend it; nothing was sent",
                )
            progress.add(entry.bytes)
        commit(dataset, manifest, home)  # so that card and copy are those of this manifest
    return manifest


def _repository(api: HfApi, hub_id: HubId, is_private: bool) -> DatasetInfo:
    """The branch as it is, made where there is none."""
    from huggingface_hub import constants, errors

    def look(revision: str) -> DatasetInfo:
        found = api.dataset_info(
            hub_id.repo_id,
            revision=revision,
            files_metadata=True,
            timeout=constants.HF_HUB_ETAG_TIMEOUT,
        )
        if found.sha is None:
            raise ValueError("it names no commit")
        return found

    try:
        info = look(hub_id.revision)
    except errors.RevisionNotFoundError:
        api.create_branch(hub_id.repo_id, branch=hub_id.revision, repo_type="dataset")
        info = look(hub_id.revision)
    except errors.RepositoryNotFoundError:
        api.create_repo(hub_id.repo_id, repo_type="dataset", private=is_private or None)
        if hub_id.revision != "main":
            api.create_branch(hub_id.repo_id, branch=hub_id.revision, repo_type="dataset")
        return look(hub_id.revision)
    if is_private and info.private is False:
        raise InputError(
            f"{hub_id.repo_id} exists and is public, so nothing was sent",
            hint="make it private on the hub first, or choose another name",
        )
    return info


def _is_there(path: Path, there: RepoSibling | None) -> bool:
    """Whether the hub has a file with just these bytes."""
    import hashlib

    from ingest.kernel.files import sha256_of

    if there is None or there.size != path.stat().st_size:
        return False
    if there.lfs is not None:
        return bool(there.lfs.sha256 == sha256_of(path))
    content = path.read_bytes()
    blob = b"blob %d\0" % len(content) + content
    return there.blob_id == hashlib.sha1(blob, usedforsecurity=False).hexdigest()


def _no_longer(
    hub_id: HubId, info: DatasetInfo, there: dict[str, RepoSibling], paths: Sequence[str]
) -> list[str]:
    """Files that the manifest on the hub names, and the dataset lacks."""
    from ingest.dataset.afar.address import at_commit
    from ingest.dataset.afar.open import manifest_at
    from ingest.dataset.manifest import MANIFEST_NAME

    if MANIFEST_NAME not in there or info.sha is None:
        return []
    try:
        known = manifest_at(at_commit(hub_id.repo_id, info.sha))
    except DatasetError:
        return []  # of another format, say: its files are nobody's to remove
    gone = {entry.path for entry in known.files()} - set(paths)
    return sorted(gone & there.keys())


def _upload(api: HfApi, hub_id: HubId, additions: Sequence[CommitOperationAdd]) -> None:
    """Sends large files, some at a time; the commit takes the small ones along."""
    from ingest.kernel.progress import Progress

    n_bytes = sum(addition.upload_info.size for addition in additions)
    with Progress("sending", n_bytes, "bytes") as progress:
        for start in range(0, len(additions), _FILES_AT_A_TIME):
            some = additions[start : start + _FILES_AT_A_TIME]
            api.preupload_lfs_files(
                hub_id.repo_id,
                some,
                repo_type="dataset",
                revision=hub_id.revision,
                free_memory=False,
            )
            progress.add(sum(addition.upload_info.size for addition in some))


def _message(manifest: Manifest) -> str:
    models = ", ".join(model.name for model in manifest.models)
    return f"headswap push: {models}; manifest {manifest.sha256()[:12]}"


@contextmanager
def _explained(hub_id: HubId) -> Iterator[None]:
    """What the hub refuses to who writes, and silence from the client's own bars."""
    from huggingface_hub import errors
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    from ingest.kernel.hub import explained

    was_silent: Any = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        with explained(hub_id):
            try:
                yield
            except errors.HfHubHTTPError as error:
                raise _refused(error, hub_id) from error
    finally:
        if not was_silent:
            enable_progress_bars()


def _refused(error: Any, hub_id: HubId) -> Exception:
    """An error that only who writes meets; any other as it is."""
    match error.response.status_code:
        case 412:
            return HeadswapError(
                f"{hub_id} was changed by somebody else meanwhile, so nothing was committed",
                hint="look at what is there, then run the same command again: it sends only the "
                "small files",
            )
        case 401 | 403:
            return InputError(
                f"you may not write to {hub_id.repo_id} (HTTP {error.response.status_code})",
                hint="`hf auth login` with a token that may write, or set HF_TOKEN",
            )
    return error if isinstance(error, Exception) else AssertionError(error)
