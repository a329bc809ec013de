"""The cookbook's answers are what the demo dataset gives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sql.console.examples import examples
from sql.session import open_session
from tests.support.pages.cookbook import COOKBOOK, answers, cookbook

_NUMBER = re.compile(r"-?\d+\.\d+")


def test_every_answer_is_the_one_printed(demo_dataset: Path) -> None:
    """Words exactly, decimal numbers within two units of the third place."""
    page = COOKBOOK.read_text(encoding="utf-8")
    printed = answers(page)
    with open_session(demo_dataset) as session:
        written = cookbook(session)
    found = answers(written)
    assert page.partition("\n## ")[0] == written.partition("\n## ")[0]
    assert list(printed) == [example.question for example in examples()] == list(found)
    for question, lines in printed.items():
        assert len(lines) == len(found[question]), question
        for expected, words in zip(lines, found[question], strict=True):
            for theirs, ours in zip(expected, words, strict=True):
                if _NUMBER.fullmatch(theirs) or _NUMBER.fullmatch(ours):
                    assert float(ours) == pytest.approx(float(theirs), abs=0.0021), question
                elif not set(theirs) <= {"-"}:  # a rule is as wide as its column
                    assert ours == theirs, question
