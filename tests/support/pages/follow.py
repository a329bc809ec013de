"""A page followed as a reader would: every block in order, in an empty folder, in a real shell.

`python -m tests.support.pages.follow` follows the tutorial, writes its pictures and answers anew.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

from tests.support.dependencies import ROOT
from tests.support.pages.answers import assert_alike
from tests.support.pages.blocks import Block, blocks

TUTORIAL = ROOT / "docs" / "tutorial"
_TEXTS = re.compile(r"<text[^>]*>([^<]*)</text>")


class Reader:
    """Runs blocks in a folder. names: what the Python blocks named; skipped: what it left out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, Any] = {}
        self.skipped: list[Block] = []

    def follow(self, page: Path) -> None:
        """Follows a page, and holds what it shows against what comes out."""
        for block in blocks(page):
            for shown, found in self.outcomes(block):
                assert_alike(shown, found, block.place, block.is_loose)
            if block.language == "python" and block.shows_picture:
                drawn = svg_texts(svg(self.names["_"]))
                assert drawn, f"{block.place}: a picture without a word"
                kept = svg_texts(picture(block).read_text(encoding="utf-8"))
                assert_alike("\n".join(kept), "\n".join(drawn), block.place)

    def outcomes(self, block: Block) -> Iterator[tuple[str, str]]:
        """What the page shows and what came out, for each thing in a block that was run."""
        if block.cost:
            self.skipped.append(block)
        elif block.language == "sh":
            found = self.shell(block.code, block.place)
            if block.answer is not None:
                yield block.answer, found
        elif block.language == "python":
            shown = self.python(block.code)
            assert block.answer is None or shown, f"{block.place} shows nothing"
            if block.answer is not None:
                yield block.answer, shown
        else:
            assert block.language in ("text", "json"), f"{block.place}: nobody runs this"

    def shell(self, text: str, place: str) -> str:
        """What a command prints on stdout; it must end well."""
        program = Path(sys.executable).parent
        environment = os.environ | {"PATH": f"{program}{os.pathsep}{os.environ['PATH']}"}
        run = subprocess.run(
            ["bash", "-euc", text],
            cwd=self.folder,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, f"{place}: {text}\n{run.stderr}"
        return run.stdout

    def python(self, code: str) -> str:
        """Runs a cell; the text of its last line's value, where it ends in an expression."""
        tree = ast.parse(code)
        last = tree.body[-1]
        with chdir(self.folder):
            if not isinstance(last, ast.Expr):
                exec(code, self.names)
                return ""
            exec(compile(ast.Module(tree.body[:-1], []), "<page>", "exec"), self.names)
            self.names["_"] = eval(
                compile(ast.Expression(last.value), "<page>", "eval"), self.names
            )
            return repr(self.names["_"])


def picture(block: Block) -> Path:
    """The picture that a block's chart is shown as."""
    text = block.page.read_text(encoding="utf-8")
    below = "\n".join(text.splitlines()[block.line :])
    found = re.search(r"!\[[^]]*\]\(([^)]*)\)", below)
    assert found, block.place
    return (block.page.parent / found[1]).resolve()


def svg(chart: Any) -> str:
    """A chart as the tutorial shows it."""
    from reports.figures.figure_files import svg_of

    return svg_of(chart)


def svg_texts(text: str) -> list[str]:
    """The words of a picture, in order: titles, axes, labels."""
    return [found.strip() for found in _TEXTS.findall(text) if found.strip()]


def renew(page: Path) -> None:
    """Writes answers and pictures of a page anew."""
    lines = page.read_text(encoding="utf-8").splitlines()
    answers: list[tuple[int, int, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        reader = Reader(Path(folder))
        for block in blocks(page):
            found = [found for _, found in reader.outcomes(block)]
            if block.language == "python" and block.shows_picture:
                picture(block).parent.mkdir(exist_ok=True)
                picture(block).write_text(svg(reader.names["_"]) + "\n", encoding="utf-8")
            elif block.answer is not None:
                start = block.line + len(block.code.splitlines()) + 3
                answers.append((start, len(block.answer.splitlines()), found[0].rstrip()))
    for start, n_lines, text in reversed(answers):
        lines[start : start + n_lines] = text.splitlines()
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for path in sorted(TUTORIAL.glob("*.md")):
        renew(path)
