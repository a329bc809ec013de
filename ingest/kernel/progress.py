"""The progress of work that takes more than a moment: a bar on stderr, drawn by tqdm."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from typing import Self

PATIENCE_SECONDS = 2.0
# Between two drawings; between two lines where a line cannot be redrawn.
_REDRAW_SECONDS, _LINE_SECONDS = 0.2, 60.0


class Progress:
    """Counts towards a total, and draws a bar once the work has taken 2 s; it goes at the end.

    On a terminal one line is redrawn; elsewhere there is a line after 2 s and each minute.
    """

    def __init__(
        self, label: str, total: int | None, unit: str, stream: TextIO | None = None
    ) -> None:
        self.done = self.skipped = 0
        self._label, self._total, self._unit = label, total, unit
        self._stream = stream or sys.stderr
        self._started = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def add(self, count: int) -> None:
        """Counts what was done."""
        self.done += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() - self._started >= PATIENCE_SECONDS:
            self._bar = self._drawn()

    def skip(self, count: int) -> None:
        """Counts what an earlier, interrupted run had done."""
        self.skipped += count
        if self._bar is not None:
            self._bar.initial += count
            self._bar.n += count

    def summary(self) -> str:
        """A closing line: how much was done, how fast, and in what time."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        reached = self.done + self.skipped
        share = reached / self._total if self._total else 1.0
        earlier = f"  ({self.skipped:,} from an interrupted run)" if self.skipped else ""
        return (
            f"{self._label}  {share:4.0%}  {reached:,} of {self._total or reached:,} {self._unit}  "
            f"{self.done / seconds:,.0f} {self._unit}/s  {seconds:.1f} s{earlier}"
        )

    def _drawn(self) -> Any:
        """The bar, of work that has gone on for a while."""
        from tqdm import tqdm  # not at the top: most work is done before it would be needed

        is_terminal = self._stream.isatty()
        bar = tqdm(
            desc=self._label,
            initial=self.skipped,
            total=self._total,
            unit=f" {self._unit}",
            unit_scale=True,
            file=self._stream if is_terminal else _Lines(self._stream),
            mininterval=_REDRAW_SECONDS if is_terminal else _LINE_SECONDS,
            miniters=1,
            smoothing=0,  # the rate since the beginning
            delay=PATIENCE_SECONDS,  # or it would be drawn before what was done is known to it
            leave=False,
            postfix=f"{self.skipped:,} from an interrupted run" if self.skipped else None,
        )
        bar.start_t -= time.monotonic() - self._started
        bar.n = bar.last_print_n = self.skipped + self.done
        bar.refresh()
        return bar


class _Lines:
    """A stream on which what tqdm redraws in place becomes lines."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        if text.strip():
            self._stream.write(f"{text.strip()}\n")

    def flush(self) -> None:
        self._stream.flush()
