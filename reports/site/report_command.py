"""The command `headswap report`."""

from __future__ import annotations

import html
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ingest.kernel.command_line import json_option
from sql.console.options import parameter_options, place_argument

if TYPE_CHECKING:
    from sql.parameters import Parameters

# Characters of a page within which its title stands.
_HEAD_LENGTH = 10_000


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
@parameter_options
@json_option("the finding and the page's path")
def command(
    dataset: Path | str, out: Path, single_file: bool, parameters: Parameters, as_json: bool
) -> int:
    """Writes the pages of a dataset, says what they found, and prints the path of the first."""
    from reports.site.pages import write_report
    from sql.access.interrupts import interruptible
    from sql.session import open_session

    with open_session(dataset, parameters) as session, interruptible(session.connection):
        page = write_report(session, out, single_file)
    print_page(page, as_json)
    return 0


def print_page(page: Path, as_json: bool) -> None:
    """Prints what a report found, the title of its first page, and that page's path."""
    finding = _title(page)
    if as_json:
        print(json.dumps({"finding": finding, "page": str(page)}, ensure_ascii=False))
        return
    print(finding, file=sys.stderr, flush=True)
    print(page)


def _title(page: Path) -> str:
    with page.open(encoding="utf-8") as file:
        title = re.search(r"<title>(.*) – headswap</title>", file.read(_HEAD_LENGTH))
    assert title is not None  # written by the template of all pages
    return html.unescape(title[1])
