"""A program in a real terminal, as a person sits before it."""

from __future__ import annotations

import os
import pty
import select
import signal
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

CTRL_C, CTRL_D, TAB, UP = "\x03", "\x04", "\t", "\x1b[A"
_PATIENCE_SECONDS = 60


@dataclass
class Terminal:
    """A process and the terminal that it runs in. seen: what it printed so far."""

    process: int
    descriptor: int
    seen: str = ""

    def type(self, text: str) -> None:
        """Types text, a key after the other."""
        os.write(self.descriptor, text.encode())

    def read_until(self, text: str) -> str:
        """What is printed until a text comes; the next reading begins after it."""
        limit = time.monotonic() + _PATIENCE_SECONDS
        while text not in self.seen:
            assert time.monotonic() < limit, self.seen[-2000:]
            if select.select([self.descriptor], [], [], 1)[0]:
                self.seen += os.read(self.descriptor, 65536).decode(errors="replace")
        before, _, self.seen = self.seen.partition(text)
        return before

    def wait(self) -> int:
        """Waits for the end of the process, whatever it prints; returns its exit code."""
        try:
            while True:
                is_ready = select.select([self.descriptor], [], [], _PATIENCE_SECONDS)[0]
                assert is_ready, self.seen[-2000:]
                chunk = os.read(self.descriptor, 65536)
                if not chunk:
                    break
                self.seen += chunk.decode(errors="replace")
        except OSError:  # how Linux says that nobody writes there any more
            pass
        _, status = os.waitpid(self.process, 0)
        self.process = 0
        return os.waitstatus_to_exitcode(status)


@contextmanager
def terminal(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    folder: str = ".",
    columns: int = 80,
) -> Iterator[Terminal]:
    """Starts a program in a terminal of its own; at the end it is killed where it still runs."""
    variables = {**os.environ, "TERM": "dumb", **(environment or {})}
    variables.pop("COLUMNS", None)
    process, descriptor = pty.fork()
    if process == 0:  # pragma: no cover - the child becomes the program
        os.chdir(folder)
        # Whoever runs the tests in the background has it ignored; a terminal has not.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execvpe(command[0], list(command), variables)
    termios.tcsetwinsize(descriptor, (24, columns))
    opened = Terminal(process, descriptor)
    try:
        yield opened
    finally:
        if opened.process:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        os.close(descriptor)
