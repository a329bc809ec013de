"""The command `headswap report`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from sql.options import add_dataset_argument, add_parameter_options, parameters_from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `headswap report`."""
    add_dataset_argument(parser)
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        required=True,
        help="the folder that gets the page, index.html; made if it does not exist",
    )
    add_parameter_options(parser)
    parser.add_argument("--json", action="store_true", help="print the page's path as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Writes the page of a dataset and prints its path."""
    from reports.page import write_report
    from sql.session import open_session

    with open_session(arguments.dataset, parameters_from(arguments)) as session:
        page = write_report(session, arguments.out)
    print(json.dumps({"page": str(page)}) if arguments.json else page)
    return 0
