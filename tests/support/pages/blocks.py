"""The blocks of code of a page, in order, each with the answer that the page shows."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.support.dependencies import ROOT

# What tells the reader, and the tests, that a block is not run here: at the end of the words above it.
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
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command of a console, and the lines that it is shown to print."""

    text: str
    answer: str


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
            if not between.strip() and match["language"] in ("python", "sql"):
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


def commands(code: str) -> list[Command]:
    """The commands of a console, each after `$ `; one goes on while a quote is open.

    >>> commands("$ echo 'a\\n  b'\\na\\n  b\\n$ true\\n")
    [Command(text="echo 'a\\n  b'", answer='a\\n  b\\n'), Command(text='true', answer='')]
    """
    found: list[Command] = []
    lines = code.splitlines()
    while lines:
        line = lines.pop(0)
        if not line.startswith("$ "):
            assert found, f"an answer without a command: {line}"
            found[-1] = Command(found[-1].text, found[-1].answer + line + "\n")
            continue
        text = line.removeprefix("$ ")
        while not is_whole(text):
            assert lines, f"a command without an end: {text}"
            text += "\n" + lines.pop(0)
        found.append(Command(text, ""))
    return found


def is_whole(text: str) -> bool:
    """Whether a shell would run the line, rather than wait for more of it."""
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return not text.endswith("\\")
