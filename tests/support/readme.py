"""The parts of README.md that the code knows better: each command's help, the table of views.

`make format` rewrites them; a test fails where they differ. Each stands between
`<!-- help: headswap sql -->` (or `<!-- views -->`) and `<!-- end -->`.
"""

from __future__ import annotations

import re
from pathlib import Path

import click

import headswap
from sql.graph.catalog import relations
from sql.graph.reference import reference_text

README = Path(__file__).parents[2] / "README.md"
RELATIONS = README.parent / "docs" / "relations.md"
_BLOCK = re.compile(r"(<!-- (help: headswap (?P<command>\w+)|views) -->\n).*?(<!-- end -->)", re.S)


def rendered(text: str) -> str:
    """The text with every block made anew."""
    return _BLOCK.sub(lambda block: f"{block[1]}{_content(block['command'])}{block[4]}", text)


def help_of(command: str) -> str:
    """What `headswap COMMAND --help` prints."""
    group = headswap.command_line()
    with group.make_context("headswap", [command]) as context:
        loaded = group.get_command(context, command)
        assert loaded
        return loaded.get_help(click.Context(loaded, parent=context, info_name=command)) + "\n"


def _content(command: str | None) -> str:
    if command:
        return f"\n```console\n$ headswap {command} --help\n{help_of(command)}```\n\n"
    rows = (f"| `{v.name}` | {', '.join(v.grain)} | {v.purpose} |" for v in relations().values())
    return "\n".join(["", "| view | one row per | what |", "|---|---|---|", *rows, "\n"])


if __name__ == "__main__":
    RELATIONS.write_text(reference_text(), encoding="utf-8")
    README.write_text(rendered(README.read_text(encoding="utf-8")), encoding="utf-8")
