"""Where programs of this user keep what is theirs: the XDG base directories."""

from __future__ import annotations

import os
from pathlib import Path


def state_folder() -> Path | None:
    """What should outlive a session (history, keys); None for a user without a home."""
    return _folder("XDG_STATE_HOME", ".local/state")


def cache_folder() -> Path | None:
    """What can be made again; None for a user without a home."""
    return _folder("XDG_CACHE_HOME", ".cache")


def _folder(variable: str, default: str) -> Path | None:
    base = os.environ.get(variable) or f"~/{default}"
    try:
        return Path(base).expanduser() / "headswap"
    except RuntimeError:
        return None
