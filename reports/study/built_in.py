"""The study files that come with headswap."""

from __future__ import annotations

from pathlib import Path

STUDIES_FOLDER = Path(__file__).parent
EXAMPLE = STUDIES_FOLDER / "example.toml"  # every key, with comments: what `headswap init` writes


def built_in_studies() -> list[str]:
    """The names of the studies that can be run as they are."""
    return sorted(path.stem for path in STUDIES_FOLDER.glob("*.toml") if path != EXAMPLE)
