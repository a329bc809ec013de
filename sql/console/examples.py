"""The questions that come with headswap, each with the query that answers it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

EXAMPLES_FILE = Path(__file__).with_name("examples.sql")


@dataclass(frozen=True)
class Example:
    """A question and its query, without the closing semicolon."""

    question: str
    query: str


@cache
def examples() -> tuple[Example, ...]:
    """All questions, in the order of the file."""
    _, *blocks = EXAMPLES_FILE.read_text(encoding="utf-8").split("\n\n-- ")
    found = []
    for block in blocks:
        question, _, query = block.partition("\n")
        found.append(Example(question, query.strip().removesuffix(";")))
    return tuple(found)
