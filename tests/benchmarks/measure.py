"""Times and memory of pieces of work, taken by turns so that a noisy machine treats all alike."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One figure beside its bar: most (or least) that it may be, and what is reached for."""

    what: str
    value: float
    bar: float
    reach: float
    unit: str = ""
    is_least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the bar is met."""
        return self.value >= self.bar if self.is_least else self.value <= self.bar

    def row(self) -> str:
        """The figure as a row of a Markdown table."""
        sign = "at least" if self.is_least else "at most"
        met = "met" if self.is_met else "**not met**"
        return (
            f"| {self.what} | {self.value:.3g}{self.unit} | {sign} {self.bar:g}{self.unit} "
            f"| {self.reach:g}{self.unit} | {met} |"
        )


HEADER = "| figure | measured | bar | reach for | |\n|---|---|---|---|---|"


def by_turns(
    works: Mapping[str, Callable[[], object]], rounds: int, warm_up: bool = True
) -> dict[str, list[float]]:
    """Seconds of each piece of work, one after the other in every round.

    Where another tenant takes the processor the best round tells most, and ratios of best rounds
    of one call are what is quoted.
    """
    if warm_up:
        for work in works.values():
            work()
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - began)
        shown = ", ".join(f"{name} {found[-1]:.3f} s" for name, found in seconds.items())
        print(f"round {turn + 1} of {rounds}: {shown}", file=sys.stderr, flush=True)
    return seconds


def best(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The best time of each piece of work, in seconds, taken by turns."""
    return {name: min(seconds) for name, seconds in by_turns(works, rounds).items()}


def peak_bytes() -> int:
    """The most memory that this process has held since it was made (Linux counts in KiB)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
