"""The command `headswap init`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `headswap init`."""
    parser.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        nargs="?",
        default=Path("study.toml"),
        help="the study file to write (default: study.toml)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Writes the commented example, and says how to run it."""
    from ingest.kernel.errors import HeadswapError, InputError
    from reports.study.study import EXAMPLE

    path: Path = arguments.file
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(EXAMPLE.read_text(encoding="utf-8"))
    except FileExistsError as error:
        raise InputError(f"{path} exists already", hint="give another name") from error
    except OSError as error:
        raise HeadswapError(f"{path} cannot be written: {error.strerror}") from error
    print(path)
    print(f"edit it, then: headswap run {path}", file=sys.stderr)
    return 0
