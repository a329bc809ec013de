"""Answers that pages show, held against those that come out."""

from __future__ import annotations

import re

import pytest

_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
# Differences between processors show up there: attention weights differ by up to 1e-4.
_TOLERANCE = 0.0021
# Times and rates differ from run to run.
_ELAPSED = re.compile(r"(?<= in )\d[\d.,]* (?:ms|s)\b")


def assert_alike(shown: str, found: str, place: str, is_loose: bool = False) -> None:
    """Words exactly, decimal numbers within two units of the third place.

    A line `...` stands for any lines. How wide columns and rules are is not compared. is_loose:
    only that a number stands where one is shown.
    """
    expected, lines = _lines(shown), _lines(found)
    if is_loose:
        expected, lines = _without_numbers(expected), _without_numbers(lines)
    assert _fits(expected, lines), f"{place}: shown is\n{shown}\nfound was\n{found}"


def _lines(text: str) -> list[list[str]]:
    return [_ELAPSED.sub("some time", line).split() for line in text.strip().splitlines()]


def _without_numbers(lines: list[list[str]]) -> list[list[str]]:
    return [
        ["number" if re.fullmatch(r"-?[\d.]+", word) else word for word in line] for line in lines
    ]


def _fits(expected: list[list[str]], lines: list[list[str]]) -> bool:
    if not expected:
        return not lines
    if expected[0] == ["..."]:
        return any(_fits(expected[1:], lines[n:]) for n in range(len(lines) + 1))
    if not lines or not alike(expected[0], lines[0]):
        return False
    return _fits(expected[1:], lines[1:])


def alike(expected: list[str], words: list[str]) -> bool:
    """Whether two lines say the same.

    >>> alike("p 0.941 ---".split(), "p 0.942 -----".split())
    True
    """
    return len(expected) == len(words) and all(map(_same_word, expected, words))


def _same_word(theirs: str, ours: str) -> bool:
    if _NUMBER.fullmatch(theirs) and _NUMBER.fullmatch(ours):
        return float(ours) == pytest.approx(float(theirs), abs=_TOLERANCE)
    if set(theirs) <= set("-─┬┼┴├┤┌┐└┘╞╪╡═│┆"):
        return set(ours) <= set("-─┬┼┴├┤┌┐└┘╞╪╡═│┆")
    return theirs == ours
