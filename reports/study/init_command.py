"""The command `headswap init`."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command
@click.argument(
    "path",
    metavar="[FILE]",
    type=Path,
    default=Path("study.toml"),
    help="the study file to write (default: study.toml)",
)
def command(path: Path) -> int:
    """Writes the commented example, and says how to run it."""
    from ingest.kernel.errors import HeadswapError, InputError
    from reports.study.built_in import EXAMPLE

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
