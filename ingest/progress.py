"""A progress line on stderr for work that takes more than a moment."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_REDRAW_SECONDS = 0.2


class Progress:
    """Counts rows towards a known total and shows how fast they come.

    On a terminal one line is redrawn; elsewhere only the closing line is printed.
    """

    def __init__(self, label: str, total_rows: int, stream: TextIO | None = None) -> None:
        self.label, self.total_rows = label, total_rows
        self.rows = self.skipped = 0
        self._stream = stream or sys.stderr
        self._started = time.monotonic()
        self._drawn = 0.0

    def add(self, rows: int) -> None:
        """Counts rows that were written."""
        self.rows += rows
        now = time.monotonic()
        if self._stream.isatty() and now - self._drawn > _REDRAW_SECONDS:
            self._drawn = now
            self._stream.write(f"\r{self._line(now)}\x1b[K")
            self._stream.flush()

    def skip(self, rows: int) -> None:
        """Counts rows that an earlier run had written."""
        self.rows += rows
        self.skipped += rows

    def close(self) -> None:
        """Prints the closing line."""
        start = "\r" if self._stream.isatty() else ""
        end = "\x1b[K\n" if self._stream.isatty() else "\n"
        self._stream.write(start + self._line(time.monotonic()) + end)
        self._stream.flush()

    def _line(self, now: float) -> str:
        seconds = max(now - self._started, 1e-9)
        share = self.rows / self.total_rows if self.total_rows else 1.0
        rate = (self.rows - self.skipped) / seconds
        earlier = f"  ({self.skipped:,} from an interrupted run)" if self.skipped else ""
        return (
            f"{self.label}  {share:4.0%}  {self.rows:,} of {self.total_rows:,} rows  "
            f"{rate:,.0f} rows/s  {seconds:.1f} s{earlier}"
        )
