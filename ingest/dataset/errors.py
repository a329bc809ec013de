"""The errors that become messages. Anything else is a bug and shows its traceback."""

from __future__ import annotations

import sys

from ingest.dataset.text import printable


class HeadswapError(Exception):
    """What failed and, as a hint, the next thing to do. Exit code 1: the work failed."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class InputError(HeadswapError):
    """What the user gave cannot be used: arguments, files, prompts, SQL. Exit code 2."""

    exit_code = 2


class DatasetError(InputError):
    """A folder that is no readable dataset, or one that contradicts its manifest."""


def tell(error: HeadswapError) -> int:
    """Prints an error to stderr, in a line and a hint, and returns its exit code."""
    print(f"headswap: {printable(str(error))}", file=sys.stderr)
    if error.hint:
        print(f"Hint: {printable(error.hint)}", file=sys.stderr)
    return error.exit_code
