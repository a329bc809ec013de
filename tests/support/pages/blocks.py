"""The blocks of code of a page, in order, each with the answer that the page shows."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.support.dependencies import ROOT

# What tells the reader, and the tests, that a block is not run here: it ends the words above it.
_COSTS = re.compile(r"\((needs a network|needs your models|takes \w+ minutes)\)[:.]?$")
_BLOCK = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^```$", re.S | re.M)


@dataclass(frozen=True)
class Block:
    """A block: its language, its code, the line of the page that it begins on (from 1).

    above: the last line of words above it. answer: the block of text right below it, or None.
    shows_picture: whether a picture follows, before more words.
    """

    page: Path
    line: int
    language: str
    code: str
    above: str
    answer: str | None
    shows_picture: bool

    @property
    def cost(self) -> str | None:
        """What the page says that it costs, where it is too much to be run in the tests."""
        found = _COSTS.search(self.above)
        return found[1] if found else None

    @property
    def is_loose(self) -> bool:
        """Whether the page says that the figures of its answer depend on the processor."""
        return self.above.endswith("(on another processor, figures may differ a little):")

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """README and every page of the documentation."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """All blocks of a page, answers not among them."""
    text = page.read_text(encoding="utf-8")
    matches = list(_BLOCK.finditer(text))
    found: list[Block] = []
    answers: set[int] = set()
    for index, match in enumerate(matches):
        if index in answers:
            continue
        below, answer = text[match.end() :], None
        if index + 1 < len(matches) and matches[index + 1]["language"] == "text":
            between = text[match.end() : matches[index + 1].start()]
            if not between.strip() and match["language"] in ("python", "sh"):
                answers.add(index + 1)
                answer = matches[index + 1]["code"]
                below = text[matches[index + 1].end() :]
        above = text[: match.start()].rstrip().rpartition("\n")[2]
        line = text.count("\n", 0, match.start()) + 1
        found.append(
            Block(
                page,
                line,
                match["language"],
                match["code"],
                above,
                answer,
                below.lstrip().startswith("!["),
            )
        )
    return found


def commands(code: str) -> list[str]:
    """The commands of a script, each a line, or more while a quote is open; of a console `$ `.

    >>> commands("echo 'a\\n  b'\\ntrue\\n"), commands("$ true\\nits answer\\n")
    (["echo 'a\\n  b'", 'true'], ['true'])
    """
    is_console = code.startswith("$ ")
    found: list[str] = []
    lines = code.splitlines()
    while lines:
        text = lines.pop(0)
        if is_console and not text.startswith("$ "):
            continue
        text = text.removeprefix("$ ")
        while not is_whole(text):
            assert lines, f"a command without an end: {text}"
            text += "\n" + lines.pop(0)
        found.append(text)
    return found


def is_whole(text: str) -> bool:
    """Whether a shell would run the line, rather than wait for more of it."""
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return not text.endswith("\\")
