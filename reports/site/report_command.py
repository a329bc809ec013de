"""The command `headswap report`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from sql.console.options import add_dataset_argument, add_parameter_options, parameters_from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `headswap report`."""
    add_dataset_argument(parser)
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        required=True,
        help="the folder that gets the pages, index.html first; made if it does not exist",
    )
    parser.add_argument(
        "--single-file", action="store_true", help="put all pages into index.html, to hand it on"
    )
    add_parameter_options(parser)
    parser.add_argument("--json", action="store_true", help="print the page's path as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Writes the pages of a dataset and prints the path of the first."""
    from reports.site.pages import write_report
    from sql.session import open_session

    with open_session(arguments.dataset, parameters_from(arguments)) as session:
        page = write_report(session, arguments.out, arguments.single_file)
    print_page(page, arguments.json)
    return 0


def print_page(page: Path, as_json: bool) -> None:
    """Prints the path of a report's first page."""
    print(json.dumps({"page": str(page)}) if as_json else page)
