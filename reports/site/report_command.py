"""The command `headswap report`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ingest.kernel.command_line import json_option
from sql.console.options import engine_options, parameter_options, place_argument

if TYPE_CHECKING:
    from sql.engines.engine import EngineChoice
    from sql.parameters import Parameters


@click.command
@place_argument
@click.option(
    "--out",
    metavar="DIR",
    type=Path,
    required=True,
    help="the folder that gets the pages, index.html first; made if it does not exist",
)
@click.option("--single-file", is_flag=True, help="put all pages into index.html, to hand it on")
@engine_options
@parameter_options
@json_option("the page's path")
def command(
    dataset: Path | str,
    out: Path,
    single_file: bool,
    engine: EngineChoice,
    parameters: Parameters,
    as_json: bool,
) -> int:
    """Writes the pages of a dataset and prints the path of the first."""
    from reports.site.pages import write_report
    from sql.access.interrupts import interruptible
    from sql.session import open_session

    with (
        open_session(dataset, parameters, engine=engine) as session,
        interruptible(session.connection),
    ):
        page = write_report(session, out, single_file)
    print_page(page, as_json)
    return 0


def print_page(page: Path, as_json: bool) -> None:
    """Prints the path of a report's first page."""
    print(json.dumps({"page": str(page)}) if as_json else page)
