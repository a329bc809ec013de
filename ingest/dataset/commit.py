"""Making a dataset what its manifest says: the last step of whatever writes one."""

from __future__ import annotations

from pathlib import Path

from ingest.dataset.cards.card import texts_of
from ingest.dataset.manifest import BACKUP_NAME, MANIFEST_NAME, Manifest, manifest_text
from ingest.kernel.files import write_texts_aside


def commit(dataset: Path, manifest: Manifest, home: str | None = None) -> None:
    """Replaces the manifest, its copy, card and metadata; until then readers see the earlier state.

    home: the repository on the hub that the card names, None for the one that it named before.

    Raises: HeadswapError where the operating system refuses; then nothing was replaced.
    """
    text = manifest_text(manifest)
    others = texts_of(dataset, manifest, home)
    write_texts_aside(
        {
            dataset / MANIFEST_NAME: text,
            dataset / BACKUP_NAME: text,
            **{dataset / name: other for name, other in others.items()},
        }
    )
