"""The reference pages that the code knows better than a writer: commands, Python, relations.

`make format` writes them anew; a test fails where they differ.
"""

from __future__ import annotations

from pathlib import Path

import click

import headswap
from tests.support.dependencies import ROOT
from tests.support.pages.python import python_page
from tests.support.pages.relations import relation_pages

DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"

# The commands by what they are for, in the order of a study.
GROUPS = {
    "Models and prompts in": ("ingest", "import", "merge", "extract"),
    "What heads do": ("ablate", "top-tokens", "generate", "readout"),
    "Questions": ("sql", "views"),
    "Pages and figures": ("look", "report", "figure"),
    "Soundness and claims": ("verify", "claims"),
    "Sharing": ("push", "pull"),
    "Studies": ("demo", "init", "run", "schedule"),
}


def pages() -> dict[str, str]:
    """The text of every generated page, by its path in docs/reference."""
    return {"commands.md": command_page(), "python.md": python_page(), **relation_pages()}


def command_page() -> str:
    """All commands in groups, one that no group names at the end, each with its help."""
    grouped = {name for names in GROUPS.values() for name in names}
    others = tuple(name for name in headswap.COMMANDS if name not in grouped)
    groups = {**GROUPS, **({"Others": others} if others else {})}
    parts = [
        "# Commands\n",
        "What `headswap COMMAND --help` prints. Data go to stdout, words and progress to stderr;",
        "`--json` prints what a program may read. Exit codes: 0 done, 1 failed (a claim does not",
        "hold, rows are damaged), 2 unusable input, 130 stopped by Ctrl-C. Stopped commands go on",
        "where they stopped when they are run again.\n",
    ]
    for heading, names in groups.items():
        parts.append(f"## {heading}\n")
        for name in names:
            parts.append(f"### headswap {name}\n\n```text\n{help_of(name)}```\n")
    return "\n".join(parts)


def help_of(command: str) -> str:
    """What `headswap COMMAND --help` prints."""
    group = headswap.command_line()
    with group.make_context("headswap", [command]) as context:
        loaded = group.get_command(context, command)
        assert loaded, command
        return loaded.get_help(click.Context(loaded, parent=context, info_name=command)) + "\n"


def write(folder: Path = REFERENCE) -> None:
    """Writes every page, and removes pages of relations that are gone."""
    made = pages()
    for path in (folder / "relations").glob("*.md"):
        path.unlink()
    for name, text in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
