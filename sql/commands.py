"""The command `headswap sql`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ingest.dataset.errors import InputError
from sql.options import (
    add_dataset_argument,
    add_parameter_options,
    add_statistics_options,
    parameters_from,
)


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
    add_parameter_options(parser)
    add_statistics_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs one query over a dataset and prints or writes its rows."""
    from sql.output import format_for
    from sql.session import open_session

    if arguments.query is None:
        return _prompt(arguments)
    query = sys.stdin.read() if arguments.query == "-" else arguments.query
    chosen = "json" if arguments.json else arguments.format
    with open_session(arguments.dataset, parameters_from(arguments)) as session:
        relation = session.query(query)
        result_format = format_for(chosen, arguments.output)
        session.write(relation, result_format, arguments.output)
    return 0


def _prompt(arguments: argparse.Namespace) -> int:
    """Answers queries that are typed in, until the input ends."""
    from sql.session import open_session
    from sql.shell import line_editing, run_shell

    if arguments.json or arguments.format or arguments.output:
        raise InputError("a format or a file, but no query", hint="give the query, too")
    if not sys.stdin.isatty():
        raise InputError("no query", hint="give one, or - to read it from stdin")
    with open_session(arguments.dataset, parameters_from(arguments)) as session, line_editing():
        run_shell(session)
    return 0
