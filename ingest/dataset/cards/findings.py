"""What was found in a dataset, on its card. The stage that finds it writes it beside the data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ingest.dataset.manifest import Manifest
from ingest.kernel.text import markdown_cell

FINDINGS_NAME, FIGURE_NAME = "findings.md", "findings.png"
MOST_BYTES = 1 << 20
_STAMP = "<!-- of the manifest {sha256} -->\n"


def findings_text(manifest: Manifest, sentences: Sequence[str], figure: str) -> str:
    """The section's text, marked with the manifest that it is about; figure: what that shows."""
    lines = "\n".join(f"- {markdown_cell(sentence)}" for sentence in sentences)
    return f"""{_stamp(manifest)}## What was found

{lines}

![{markdown_cell(figure)}]({FIGURE_NAME})

Every number can be had again: `headswap report` shows the tests and the queries behind them.
"""


def findings_in(dataset: Path, manifest: Manifest) -> str:
    """The section of a dataset, empty where it has none, or one about other rows."""
    path = dataset / FINDINGS_NAME
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        return ""
    text = path.read_text(encoding="utf-8", errors="replace")
    return text if text.startswith(_stamp(manifest)) else ""


def _stamp(manifest: Manifest) -> str:
    return _STAMP.format(sha256=manifest.sha256())
