"""The command `headswap sql`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ingest.kernel.command_line import HintedCommand, Settings, gathered
from ingest.kernel.errors import InputError, run_with_messages
from sql.console.completion import complete_file
from sql.console.options import (
    engine_options,
    limit_options,
    place_argument,
    statistics_options,
)

if TYPE_CHECKING:
    from sql.access.limits import Limits
    from sql.engines.engine import EngineChoice
    from sql.parameters import Parameters
    from sql.session import Session

# A word before which no option of ours stands: `-- why` begins a query, `--claim=a b` does not.
_COMMENT = re.compile(r"--[^\s=]*\s")


class QueryCommand(HintedCommand):
    """A command one of whose arguments is a query, which may begin with a comment."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the words; a space before a comment keeps it from being taken for an option."""
        return super().parse_args(
            ctx, [f" {word}" if _COMMENT.match(word) else word for word in args]
        )


@dataclass(frozen=True)
class Output:
    """Where a result goes, and in which form. format: None where it was not chosen."""

    format: str | None
    file: Path | None
    rows: str


def _output_from(options: Mapping[str, Any]) -> Output:
    chosen = "json" if options["as_json"] else options["format"]
    return Output(chosen, options["output"], options["rows"])


@click.command(cls=QueryCommand, meant=lambda _: "write the query in quotes")
@place_argument
@click.argument(
    "query",
    metavar="[QUERY]",
    required=False,
    help="one query, or - to read it from stdin (default: a prompt for many)",
)
@gathered(
    "output",
    _output_from,
    click.option(
        "--format",
        type=click.Choice(("table", "csv", "json", "parquet")),
        help="default: by the ending of FILE, on stdout table",
    ),
    click.option("--json", "as_json", is_flag=True, help="short for --format json"),
    click.option(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        shell_complete=complete_file,
        help="write the whole result to a file, in the form that its name ends in: .csv, .json, "
        ".parquet or .txt",
    ),
    click.option(
        "--rows",
        metavar="N",
        default="50",
        help="how many rows of a table to print, or all (default: 50); the other formats and FILE "
        "always hold all",
    ),
)
@limit_options
@engine_options
@statistics_options
@click.pass_obj
def command(
    settings: Settings,
    dataset: Path | str,
    query: str | None,
    output: Output,
    limits: Limits,
    parameters: Parameters,
    engine: EngineChoice,
) -> int:
    """Runs one query over a dataset and prints or writes its rows; without one, a prompt."""
    if query is None and (output.format or output.file):
        raise InputError("a format or a file, but no query", hint="give the query, too")
    if query is None and not sys.stdin.isatty():
        raise InputError(
            "no query",
            hint="give it in quotes after the dataset, or - to read it from stdin",
        )

    def opened() -> Session:
        from sql.session import open_session

        return open_session(dataset, parameters, limits, engine)

    def work() -> int:
        return _prompt(opened) if query is None else _answer(query, output, opened)

    if not limits.sandbox:
        return work()
    from sql.access.confine import confined

    assert limits.memory is not None  # every sandbox has a bound
    return confined(
        lambda: run_with_messages(work, lambda: settings.debug),
        limits.memory,
        limits.seconds,
        is_prompt=query is None,
    )


def _answer(query: str, output: Output, opened: Callable[[], Session]) -> int:
    """Answers the one query."""
    from sql.console.output import format_for, parse_rows, print_answer, write_answer

    n_shown = parse_rows(output.rows)
    result_format = format_for(output.format, output.file)
    text = sys.stdin.read() if query == "-" else query
    with opened() as session:
        if result_format == "table" and output.file is None:
            more = "--rows N or all shows more, -o FILE writes all"
            print_answer(session, text, n_shown, more)
        else:
            write_answer(session, text, result_format, output.file)
    return 0


def _prompt(opened: Callable[[], Session]) -> int:
    """Answers queries that are typed in, until the input ends."""
    from sql.console.shell import line_editing, run_shell

    with opened() as session, line_editing(session):
        run_shell(session)
    return 0
