"""Datasets on the hub on loopback: put there, looked at, lied about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ingest.dataset.cards.card import texts_of
from ingest.dataset.manifest import MANIFEST_NAME, read_manifest
from sql.graph.export import VIEWS_FILE
from tests.support.interrupted import views_anywhere
from tests.support.services.hub import Hub

TASKS = [(f"Task number {n}", ["boil water", "pour it", "wait a while"]) for n in range(12)]


def content(folder: Path) -> dict[str, bytes]:
    """The files of a dataset; what belongs to this machine alone left out."""
    return {
        path.relative_to(folder).as_posix(): views_anywhere(path).encode()
        if path.name == VIEWS_FILE
        else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def commit_as(hub: Hub, repo_id: str, dataset: Path, **changed: bytes | None) -> None:
    """Puts a dataset's files on the hub, some of them changed or left out."""
    texts = texts_of(dataset, read_manifest(dataset), repo_id)
    own = {name: text.encode() for name, text in texts.items()}
    files: dict[str, Any] = content(dataset) | own | changed
    kept = {name: body for name, body in files.items() if body is not None}
    hub.add(f"datasets/{repo_id}").commit(kept)


def on_hub(hub: Hub, repo_id: str) -> dict[str, bytes]:
    """The files of a repository's main branch; the hub's own left out."""
    repository = hub.repositories[f"datasets/{repo_id}"]
    files = repository.commits[repository.branches["main"]]
    return {name: body for name, body in files.items() if not name.startswith(".")}


def is_dataset(folder: Path) -> bool:
    return any(path.name == MANIFEST_NAME for path in folder.rglob("*"))
