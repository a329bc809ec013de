"""The command `headswap sql`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.kernel.errors import InputError, told
from sql.console.options import (
    add_dataset_argument,
    add_parameter_options,
    add_statistics_options,
    parameters_from,
)

if TYPE_CHECKING:
    from sql.access.limits import Limits
    from sql.parameters import Parameters


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `headswap sql`."""
    add_dataset_argument(parser)
    parser.add_argument(
        "query",
        metavar="QUERY",
        nargs="?",
        help="one query, or - to read it from stdin (default: a prompt for many)",
    )
    parser.add_argument(
        "--format",
        choices=("table", "csv", "json", "parquet"),
        help="default: the ending of FILE, else table",
    )
    parser.add_argument("--json", action="store_true", help="short for --format json")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="write the result to a file"
    )
    parser.add_argument(
        "--sandbox",
        action="store_true",
        help="for other people's queries: no file but the dataset's can be read, none written, "
        "with the limits 60 s, 2GB and 100,000 rows unless others are given",
    )
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=float, help="stop a query that takes longer"
    )
    parser.add_argument(
        "--memory-limit", metavar="SIZE", help="what DuckDB may use, for instance 2GB"
    )
    parser.add_argument("--max-rows", metavar="N", type=int, help="refuse a result with more rows")
    add_parameter_options(parser)
    add_statistics_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs one query over a dataset and prints or writes its rows; without one, a prompt."""
    if arguments.query is None and (arguments.json or arguments.format or arguments.output):
        raise InputError("a format or a file, but no query", hint="give the query, too")
    if arguments.query is None and not sys.stdin.isatty():
        raise InputError("no query", hint="give one, or - to read it from stdin")
    parameters, limits = parameters_from(arguments), _limits_from(arguments)
    work = partial(_prompt if arguments.query is None else _answer, arguments, parameters, limits)
    if not limits.sandbox:
        return work()
    from sql.access.confine import confined

    assert limits.memory is not None  # every sandbox has a bound
    seconds = None if arguments.query is None else limits.seconds
    return confined(lambda: told(work, arguments.debug), limits.memory, seconds)


def _answer(arguments: argparse.Namespace, parameters: Parameters, limits: Limits) -> int:
    """Answers the one query."""
    from sql.console.output import format_for, write_result
    from sql.session import open_session

    query = sys.stdin.read() if arguments.query == "-" else arguments.query
    chosen = "json" if arguments.json else arguments.format
    with (
        open_session(arguments.dataset, parameters, limits) as session,
        session.ask(query) as relation,
    ):
        write_result(relation, format_for(chosen, arguments.output), arguments.output)
    return 0


def _prompt(arguments: argparse.Namespace, parameters: Parameters, limits: Limits) -> int:
    """Answers queries that are typed in, until the input ends."""
    from sql.console.shell import line_editing, run_shell
    from sql.session import open_session

    with open_session(arguments.dataset, parameters, limits) as session, line_editing():
        run_shell(session)
    return 0


def _limits_from(arguments: argparse.Namespace) -> Limits:
    """The bounds that the options state; in a sandbox those left out are its own."""
    from sql.access.limits import SANDBOX, Limits, parse_memory

    if arguments.timeout is not None and not 0 < arguments.timeout < float("inf"):
        raise InputError(f"{arguments.timeout:g} s is no time", hint="give a number above 0")
    if arguments.max_rows is not None and arguments.max_rows < 0:
        raise InputError(f"{arguments.max_rows} is no number of rows", hint="give 0 or more")
    chosen = {
        "seconds": arguments.timeout,
        "memory": arguments.memory_limit and parse_memory(arguments.memory_limit),
        "rows": arguments.max_rows,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    return replace(SANDBOX if arguments.sandbox else Limits(), **given)
