"""The errors that become messages. Anything else is a bug and shows its traceback."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

from ingest.kernel.text import printable


class HeadswapError(Exception):
    """What failed and, as a hint, the next thing to do. Exit code 1: the work failed."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        if hint:
            self.add_note(f"Hint: {hint}")  # what a traceback shows below the message


class InputError(HeadswapError):
    """What the user gave cannot be used: arguments, files, prompts, SQL. Exit code 2."""

    exit_code = 2


class DatasetError(InputError):
    """A folder that is no readable dataset, or one that contradicts its manifest."""


def run_with_messages(work: Callable[[], int], is_debugging: Callable[[], bool]) -> int:
    """Does some work and returns its exit code; an error becomes its message and its code.

    is_debugging: asked after an error, whether its traceback is printed as well. An error that is
    a bug is raised.
    """
    try:
        code = work()
        sys.stdout.flush()
        return code
    except HeadswapError as error:
        if is_debugging():
            traceback.print_exc()
        return print_error(error)
    except BrokenPipeError:
        # Whoever read our output has stopped (`| head`); that is no failure of ours.
        _abandon_stdout()
        return 0
    except OSError as error:
        if is_debugging():
            traceback.print_exc()
        if error.filename is None:  # most likely what stdout leads to is full
            _abandon_stdout()
        where = error.filename or "the output"
        print(f"headswap: {where}: {error.strerror or error}", file=sys.stderr)
        return 1


def _abandon_stdout() -> None:
    """Lets what is still to be printed go nowhere, so that leaving does not fail over it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_error(error: HeadswapError) -> int:
    """Prints an error to stderr, in a line and a hint, and returns its exit code."""
    print(f"headswap: {printable(str(error))}", file=sys.stderr)
    if error.hint:
        print(f"Hint: {printable(error.hint)}", file=sys.stderr)
    return error.exit_code
