"""Computed numbers as pages show them: the same in every run."""

from __future__ import annotations

# Sums of doubles come in any order, so that the last bits of two runs differ.
_DIGITS = 9


def rounded(value: float) -> float:
    """A computed number without the bits that differ from run to run, and without a minus zero.

    >>> rounded(0.30000000000000004), rounded(-1e-17)
    (0.3, 0.0)
    """
    return round(value, _DIGITS) + 0.0


def rounded_or_none(value: float | None) -> float | None:
    """The same where there is a number."""
    return None if value is None else rounded(value)
