"""Programs that end with the process that started them, however that one ends.

`python with_parent.py PID PROGRAM ...` becomes the program, as a child of the process PID.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def with_parent(words: Sequence[str]) -> list[str]:
    """The words that run a program so that it gets SIGTERM when this process ends."""
    return [sys.executable, str(Path(__file__)), str(os.getpid()), *words]


def end_with(parent: int) -> None:
    """Has this process end with its parent; it keeps that when it becomes another program."""
    # The kernel's own, on Linux; elsewhere programs live on until their block ends.
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(f"the process {parent} has ended")


if __name__ == "__main__":
    end_with(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
