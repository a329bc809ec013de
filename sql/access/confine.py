"""Work in a process of its own, which can neither take more memory nor more time than it may.

DuckDB counts most of what a query takes, but not all (a function may make a text of 4 GB), and some
of its functions do not stop when they are asked to. The operating system is not asked twice.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from ingest.kernel.errors import HeadswapError, InputError, print_error

# Beside the memory of the query: what libraries reserve, and results on their way out.
_SPARE_BYTES = 2 << 30
# A query is asked to stop first; this much later its process is ended.
GRACE_SECONDS = 5.0
_POLL_SECONDS = 0.01


def confined(
    work: Callable[[], int], memory: int, seconds: float | None, is_prompt: bool = False
) -> int:
    """Runs `work` in a forked process and returns the exit code that it returns.

    What `work` raises is a bug, or that the memory did not suffice.

    memory: bytes that it may take beside what the program has by now; seconds: for each query, and
    for the process, too, unless it is a prompt; None for no bound. is_prompt: Ctrl-C is left to
    the process, where it ends a query and not the prompt.

    Raises: HeadswapError where the process had to be ended; InputError where the system cannot
    confine one.
    """
    if not hasattr(os, "fork"):
        raise InputError(
            "this system cannot confine a process, so there is no sandbox",
            hint="use Linux or macOS for other people's queries",
        )
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _run_and_leave(work, memory)
    deadline = float("inf")
    if is_prompt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    elif seconds is not None:
        deadline = time.monotonic() + seconds + GRACE_SECONDS
    done = status = 0
    try:
        while not done:
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done and time.monotonic() > deadline:
                raise HeadswapError(
                    f"the query was stopped after {seconds:g} s", hint="--timeout gives it longer"
                )
            time.sleep(0 if done else _POLL_SECONDS)
    finally:
        if not done:  # also where the user has stopped this program
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        raise out_of_memory()
    return code


def out_of_memory() -> HeadswapError:
    """What is said of a process that has died, as only the lack of memory kills it."""
    return HeadswapError(
        "the query was stopped, as it took more memory than it may",
        hint="--memory-limit gives it more",
    )


def _run_and_leave(work: Callable[[], int], memory: int) -> None:
    """What the forked process does: it never returns into the program that it is a copy of."""
    code = 1
    try:
        bound_memory(memory)
        code = work()
    except MemoryError:
        code = print_error(out_of_memory())
    except KeyboardInterrupt:
        code = 130  # the program that waits for this one says so
    except Exception:
        traceback.print_exc()  # a bug: without its traceback nobody would learn of it
    finally:
        sys.stderr.flush()
        os._exit(code)


def bound_memory(memory: int) -> None:
    """Bounds this process for good: memory, in bytes, beside what it has by now; no core files."""
    import resource

    limit = _own_bytes() + memory + _SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _own_bytes() -> int:
    """The address space that this process has; 0 where the system does not say."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0
