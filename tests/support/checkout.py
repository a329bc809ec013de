"""Which files belong to the project."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.dependencies import ROOT


def project_files() -> list[Path]:
    """The files that git tracks or would add, as paths relative to the root."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout, so which files belong to the project is unknown")
    # A clone that another user owns is refused by git unless it is named safe.
    listing = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "-co", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = [Path(name) for name in listing.split("\0") if name]
    return [path for path in paths if (ROOT / path).is_file()]
