"""A progress line on stderr for work that takes more than a moment."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_REDRAW_SECONDS = 0.2
# Where lines cannot be redrawn: until the first, and between two.
_FIRST_LINE_SECONDS, _LINE_SECONDS = 2.0, 60.0


class Progress:
    """Counts rows towards a known total and shows how fast they come and how long they will take.

    On a terminal one line is redrawn; elsewhere there is a line after 2 s and each minute, and the
    closing one.
    """

    def __init__(self, label: str, total_rows: int, stream: TextIO | None = None) -> None:
        self.label, self.total_rows = label, total_rows
        self.rows = self.skipped = 0
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._started = time.monotonic()
        self._next = self._started + (0.0 if self._is_terminal else _FIRST_LINE_SECONDS)

    def add(self, rows: int) -> None:
        """Counts rows that were written."""
        self.rows += rows
        now = time.monotonic()
        if now >= self._next:
            self._next = now + (_REDRAW_SECONDS if self._is_terminal else _LINE_SECONDS)
            self._write(self._line(now), end="" if self._is_terminal else "\n")

    def skip(self, rows: int) -> None:
        """Counts rows that an earlier run had written."""
        self.rows += rows
        self.skipped += rows

    def close(self) -> None:
        """Prints the closing line."""
        self._write(self._line(time.monotonic()), end="\n")

    def _write(self, line: str, end: str) -> None:
        self._stream.write(f"\r{line}\x1b[K{end}" if self._is_terminal else f"{line}{end}")
        self._stream.flush()

    def _line(self, now: float) -> str:
        seconds = max(now - self._started, 1e-9)
        share = self.rows / self.total_rows if self.total_rows else 1.0
        rate = (self.rows - self.skipped) / seconds
        left = self.total_rows - self.rows
        to_come = f", about {duration(left / rate)} left" if left and rate else ""
        earlier = f"  ({self.skipped:,} from an interrupted run)" if self.skipped else ""
        return (
            f"{self.label}  {share:4.0%}  {self.rows:,} of {self.total_rows:,} rows  "
            f"{rate:,.0f} rows/s  {seconds:.1f} s{to_come}{earlier}"
        )


def duration(seconds: float) -> str:
    """Seconds as people say them, to two figures of the larger unit.

    >>> duration(7.3), duration(90), duration(4000), duration(200_000)
    ('7 s', '90 s', '67 min', '56 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
