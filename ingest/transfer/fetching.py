"""Fetching a dataset from the hub: aside, checked, and put in place with the manifest last."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.dataset.afar.address import CHANGED_SINCE, Address, at_commit
from ingest.dataset.afar.open import manifest_at
from ingest.dataset.cards.findings import FIGURE_NAME, FINDINGS_NAME, MOST_BYTES
from ingest.dataset.commit import commit
from ingest.dataset.lock import LOCK_NAME, writing
from ingest.dataset.manifest import (
    MANIFEST_NAME,
    FileEntry,
    Manifest,
    Part,
    read_manifest,
    smaller,
)
from ingest.dataset.reader import check_tables
from ingest.dataset.relations import STORED_TABLES, required_tables
from ingest.kernel.errors import DatasetError, InputError
from ingest.kernel.files import sha256_of, write_files_aside, write_text_aside, writing_to
from ingest.kernel.hub import COMMIT, HubId, explained
from ingest.kernel.progress import Progress
from ingest.kernel.typed import decode_json
from ingest.transfer.combine.extract import chosen_of, is_in, layers_text, left_out_lines
from ingest.transfer.layers import LayerCut, stored_layers, with_layers
from ingest.transfer.pull import Pulled, Wanted

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

# Below the folder that gets the dataset: what came so far, and where the dataset came from.
_ASIDE = ".pull"
_ORIGIN = ".pulled.json"


@dataclass(frozen=True)
class Origin:
    """Where a pulled dataset came from; manifests: checksums of those that it has got here."""

    repository: str
    commit: str
    manifests: list[str]


def pull(hub_id: HubId, out: Path, wanted: Wanted) -> Pulled:
    """Makes a folder hold a dataset of the hub, or a part of it.

    What came stays aside until all has come and was seen to be what the manifest names; then it is
    put in place, the manifest last. A pull that broke off goes on with the files that lack. A
    folder that was pulled before is brought up to date, unless it was changed since.

    Raises: InputError where there is no such dataset, model or table, or the folder holds something
    else; DatasetError where the files are not those of the manifest; HeadswapError where the
    network or the disk fails.
    """
    before = _state(out, hub_id)
    pinned, there = _listing(hub_id)
    address = at_commit(hub_id.repo_id, pinned.revision)
    whole = manifest_at(address)
    check_tables(address.text, whole)
    manifest = _chosen(whole, wanted, pinned, address)
    _check_listing(address.text, manifest, there)
    layer_cut = LayerCut(address, whole, manifest, out / _ASIDE)
    to_fetch = [e for e in manifest.files() if e not in layer_cut.in_ranges]
    existed = out.exists()
    with writing(out):
        try:
            lacking = [e for e in to_fetch if not e.is_intact(out)]
            _fetch(pinned, lacking, out / _ASIDE)
            layer_cut.fetch(before, out)
        except BaseException:
            _forget_if_empty(out, existed)
            raise
        made = whole if manifest is whole else layer_cut.apply(_cut(manifest, out), out)
        cut = set(made.files()) - set(manifest.files())
        _put_in_place(out, [*lacking, *cut])
        paths = {entry.path for entry in made.files()}
        gone = sorted({entry.path for entry in before.files()} - paths) if before else []
        origin = Origin(hub_id.repo_id, pinned.revision, [made.sha256()])
        if before:
            origin.manifests.append(before.sha256())
        # First, so that a pull that breaks off between the two is not taken for a change.
        write_text_aside(out / _ORIGIN, json.dumps(asdict(origin)) + "\n")
        if made is whole:
            _bring_findings(address, there, out)
        commit(out, made, hub_id.repo_id)
        for path in gone:
            (out / path).unlink(missing_ok=True)
        shutil.rmtree(out / _ASIDE, ignore_errors=True)
    fetched = {*layer_cut.fetched, *(entry.path for entry in lacking)}
    return Pulled(
        folder=str(out),
        address=address.text,
        fetched=tuple(sorted(fetched)),
        kept=tuple(sorted({entry.path for entry in manifest.files()} - fetched)),
        removed=tuple(gone),
        n_bytes=layer_cut.n_bytes + sum(entry.bytes for entry in lacking),
    )


def _bring_findings(address: Address, there: dict[str, RepoSibling], out: Path) -> None:
    """Fetches what the card tells of analyses. It is about the whole, and no part of the rows."""
    contents = {
        out / name: address.whole(name, MOST_BYTES)
        for name in (FINDINGS_NAME, FIGURE_NAME)
        if name in there
    }
    write_files_aside(contents)


def _put_in_place(out: Path, entries: Iterable[FileEntry]) -> None:
    """Moves what has come, or was cut, to where it belongs."""
    with writing_to(out):
        for entry in entries:
            aside = out / _ASIDE / entry.path
            if aside.is_file():  # a file that was cut has been moved once
                (out / entry.path).parent.mkdir(parents=True, exist_ok=True)
                aside.replace(out / entry.path)


def _state(out: Path, hub_id: HubId) -> Manifest | None:
    """The dataset that the folder holds by now, None where it holds none.

    Raises: InputError where it holds something that a pull would lose.
    """
    if not out.exists():
        return None
    if not out.is_dir():
        raise InputError(f"{out} is not a folder", hint="choose another with --out")
    if not (out / MANIFEST_NAME).exists():
        others = {path.name for path in out.iterdir()} - {_ASIDE, LOCK_NAME}
        if others and not (out / _ASIDE).is_dir():
            raise InputError(
                f"{out} holds other files, {min(others)} for instance",
                hint="choose a folder that is empty or does not exist with --out",
            )
        return None
    manifest = read_manifest(out)
    if not _is_as_pulled(out, hub_id, manifest):
        raise InputError(
            f"{out} holds a dataset that was not pulled from {hub_id.repo_id}, or that was changed "
            "since",
            hint="choose another folder with --out",
        )
    return manifest


def _is_as_pulled(out: Path, hub_id: HubId, manifest: Manifest) -> bool:
    try:
        origin = decode_json((out / _ORIGIN).read_bytes(), Origin)
    except (OSError, ValueError):
        return False
    return origin.repository == hub_id.repo_id and manifest.sha256() in origin.manifests


def _listing(hub_id: HubId) -> tuple[HubId, dict[str, RepoSibling]]:
    """The commit that a revision is now, and the files of it."""
    from huggingface_hub import HfApi, constants

    with explained(hub_id):
        info = HfApi().dataset_info(
            hub_id.repo_id,
            revision=hub_id.revision,
            files_metadata=True,
            timeout=constants.HF_HUB_ETAG_TIMEOUT,
        )
        if info.sha is None or not COMMIT.fullmatch(info.sha):
            raise ValueError(f"it names no commit but {info.sha!r}")
    there = {file.rfilename: file for file in info.siblings or []}
    if MANIFEST_NAME not in there:
        raise InputError(
            f"{hub_id} is not a dataset of headswap: it has no {MANIFEST_NAME}",
            hint="`headswap push` makes one",
        )
    return HubId(hub_id.repo_id, info.sha, "dataset"), there


def _chosen(whole: Manifest, wanted: Wanted, pinned: HubId, address: Address) -> Manifest:
    """The manifest of what is wanted: the whole, or one that says of what it is a part."""
    names = [model.name for model in whole.models]
    models = chosen_of("model", names, wanted.models, pinned)
    optional = [name for name in whole.tables if name not in required_tables()]
    tables: Sequence[str] = optional
    if wanted.tables is not None:
        tables = chosen_of("table", sorted(whole.tables), wanted.tables, pinned)
    part = smaller(whole, models, [*required_tables(), *tables])
    stored: dict[str, list[int]] = {}
    if wanted.layers is not None:
        stored = stored_layers(address, whole)
        part = replace(part, models=with_layers(part.models, stored, wanted.layers, pinned))
    if part.models == whole.models and set(tables) >= set(optional):
        return whole
    lacking = {
        "models": [name for name in names if name not in models],
        "tables": [name for name in optional if name not in tables],
        "layers": [
            layers_text(model.name, gone)
            for model in part.models
            if model.layers is not None
            and (gone := [n for n in stored.get(model.name, ()) if n not in model.layers])
        ],
    }
    source = f"hf://datasets/{pinned.repo_id}"
    return replace(
        part, part_of=Part(whole.sha256(), left_out_lines(lacking), source, pinned.revision)
    )


def _check_listing(where: str, manifest: Manifest, there: dict[str, RepoSibling]) -> None:
    """Refuses before anything is fetched what cannot be what the manifest names."""
    for entry in manifest.files():
        file = there.get(entry.path)
        if file is None:
            problem = "is named by the manifest and is not there"
        elif file.size is not None and file.size != entry.bytes:
            problem = f"has {file.size:,} bytes, but the manifest says {entry.bytes:,}"
        elif file.lfs is not None and file.lfs.sha256 != entry.sha256:
            problem = "does not have the SHA-256 that the manifest says"
        else:
            continue
        raise DatasetError(f"{where}: {entry.path} {problem}", hint=CHANGED_SINCE)


def _fetch(pinned: HubId, entries: Sequence[FileEntry], aside: Path) -> None:
    """Fetches files whole into a folder; those that an earlier call brought are not asked for.

    One after the other: what runs in threads cannot be interrupted by Ctrl-C.
    """
    from huggingface_hub import hf_hub_download

    n_bytes = sum(entry.bytes for entry in entries)
    with writing_to(aside), Progress("fetching", n_bytes, "bytes") as progress:
        aside.mkdir(parents=True, exist_ok=True)
        for entry in entries:
            if entry.is_intact(aside):
                progress.skip(entry.bytes)
                continue
            with explained(pinned, entry.path):
                path = Path(
                    hf_hub_download(
                        pinned.repo_id,
                        entry.path,
                        repo_type="dataset",
                        revision=pinned.revision,
                        local_dir=aside,
                        tqdm_class=_bar_of(progress),
                    )
                )
                if sha256_of(path) != entry.sha256:
                    path.unlink()
                    raise DatasetError(
                        f"{pinned}: {entry.path} does not have the SHA-256 that the manifest says",
                        hint=CHANGED_SINCE,
                    )


def _bar_of(progress: Progress) -> Any:
    """What the client draws its bars with, one a file: here it only counts, for one bar of all."""
    from tqdm import tqdm

    class Counting(tqdm):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*arguments, **options | {"disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            progress.add(int(n or 0))
            return None

    return Counting


def _cut(manifest: Manifest, out: Path) -> Manifest:
    """The manifest of a part once files of several owners have lost the rows of others.

    Where such a file is cut, its new form lies aside.
    """
    kept = {
        "model": [model.name for model in manifest.models],
        "tokenizer": list(manifest.tokenizers),
    }
    tables: dict[str, tuple[FileEntry, ...]] = {}
    for name, entries in manifest.tables.items():
        keys = [key for key in STORED_TABLES[name].grain if key in kept]
        tables[name] = tuple(
            _cut_file(out, name, entry, {key: kept[key] for key in keys})
            if keys and entry.owner is None
            else entry
            for entry in entries
        )
    return replace(manifest, tables=tables)


def _cut_file(out: Path, table: str, entry: FileEntry, kept: dict[str, list[str]]) -> FileEntry:
    """One file without the rows of others; its entry as it is where there are none."""
    import pyarrow.parquet as pq

    from ingest.dataset.writer import write_table

    aside = out / _ASIDE
    place = aside if entry.is_intact(aside) else out  # where it lay already
    rows = pq.read_table(place / entry.path)
    chosen = rows
    for column, values in kept.items():
        chosen = chosen.filter(is_in(chosen[column], values))
    if len(chosen) == len(rows):
        return entry
    return write_table(aside, entry.path, table, chosen.to_pylist(), entry.owner)


def _forget_if_empty(out: Path, existed: bool) -> None:
    """Leaves no empty folder behind where nothing came."""
    brought = [path for path in (out / _ASIDE).rglob("*") if path.is_file()]
    if existed or brought:
        return
    shutil.rmtree(out, ignore_errors=True)
