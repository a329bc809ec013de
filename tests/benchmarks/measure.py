"""Times and memory of pieces of work, taken by turns so that a noisy machine treats all alike."""

from __future__ import annotations

import multiprocessing
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_STATUS = Path("/proc/self/status")  # of Linux
_TELL_PEAK = """
import sys
import headswap
from tests.benchmarks.measure import peak_bytes
code = headswap.main(sys.argv[1:])
print(peak_bytes())
sys.exit(code)
"""


@dataclass(frozen=True)
class Figure:
    """One figure beside its bar: most (or least) that it may be, and what is reached for.

    peaks: the most memory, in bytes, of a process that does what is above the line of the ratio,
    and of one that does what is below.
    """

    what: str
    value: float
    bar: float
    reach: float
    unit: str = ""
    is_least: bool = False
    peaks: tuple[int, ...] = ()

    @property
    def is_met(self) -> bool:
        """Whether the bar is met."""
        return self.value >= self.bar if self.is_least else self.value <= self.bar

    def row(self) -> str:
        """The figure as a row of a Markdown table."""
        sign = "at least" if self.is_least else "at most"
        met = "met" if self.is_met else "**not met**"
        peaks = " / ".join(f"{peak / 1e6:,.0f} MB" for peak in self.peaks)
        return (
            f"| {self.what} | {self.value:.3g}{self.unit} | {sign} {self.bar:g}{self.unit} "
            f"| {self.reach:g}{self.unit} | {met} | {peaks} |"
        )


HEADER = "| figure | measured | bar | reach for | | peak memory |\n|---|---|---|---|---|---|"


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


def exponent(what: str, rows: Sequence[int], seconds: Sequence[float]) -> Figure:
    """The exponent with which seconds grow with rows: the slope of their logarithms."""
    slope, _ = np.polyfit(np.log(rows), np.log(seconds), 1)
    span = f"{rows[0] / 1e6:.0f} to {rows[-1] / 1e6:.0f} M rows"
    return Figure(f"exponent of the {what}, {span}", float(slope), 1.05, 1)


def peak_of(work: Callable[[], object]) -> int:
    """The most memory, in bytes, that a new process holds that does nothing but the work.

    work: what can be pickled, as functions of modules and `partial`s of them can.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as pool:
        return pool.submit(_peak_after, work).result()


def peak_of_command(words: Sequence[str]) -> int:
    """The most memory, in bytes, that a run of `headswap` with these words holds."""
    command = [sys.executable, "-c", _TELL_PEAK, *words]
    process = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(process.stdout.splitlines()[-1])


def _peak_after(work: Callable[[], object]) -> int:
    work()
    return peak_bytes()


def peak_bytes() -> int:
    """The most memory, in bytes, that this process has held since its program was started."""
    if _STATUS.exists():
        # Not ru_maxrss, which counts what the parent held before.
        (peak,) = re.findall(r"VmHWM:\s*(\d+) kB", _STATUS.read_text())
        return int(peak) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
