"""The parts of README.md that the code knows better: each command's help, the table of views.

`make format` rewrites them; a test fails where they differ. Each stands between
`<!-- help: headswap sql -->` (or `<!-- views -->`) and `<!-- end -->`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

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
    """What `headswap COMMAND --help` prints in a window of 80 columns."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "80"
    try:
        parser = headswap.build_parser(command)
        subparsers = next(action for action in parser._actions if action.dest == "command")
        return str(subparsers.choices[command].format_help())  # type: ignore[index]
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before


def _content(command: str | None) -> str:
    if command:
        return f"\n```console\n$ headswap {command} --help\n{help_of(command)}```\n\n"
    rows = (f"| `{v.name}` | {', '.join(v.grain)} | {v.purpose} |" for v in relations().values())
    return "\n".join(["", "| view | one row per | what |", "|---|---|---|", *rows, "\n"])


if __name__ == "__main__":
    RELATIONS.write_text(reference_text(), encoding="utf-8")
    README.write_text(rendered(README.read_text(encoding="utf-8")), encoding="utf-8")
