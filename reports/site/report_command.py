"""The command `headswap report`."""

from __future__ import annotations

import html
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ingest.kernel.command_line import gathered, json_option
from ingest.kernel.errors import InputError
from sql.console.options import engine_options, parameter_options, place_argument

if TYPE_CHECKING:
    from reports.ask.page import EmbeddedQuestions
    from sql.engines.engine import EngineChoice
    from sql.parameters import Parameters

# Characters of a page within which its title stands.
_HEAD_LENGTH = 10_000
_AMOUNT = re.compile(r"(?P<number>\d{1,12}(\.\d{1,6})?)(?P<unit>[kMG]?)")
_UNITS = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}


def parse_amount(option: str, text: str) -> int:
    """Reads a number of rows.

    >>> parse_amount("--with-rows", "10M"), parse_amount("--with-rows", "1.5k")
    (10000000, 1500)

    Raises: InputError where it is none.
    """
    match = _AMOUNT.fullmatch(text.strip())
    if not match:
        raise InputError(
            f"{option} {text!r} is not a number of rows", hint=f"for instance {option} 10M"
        )
    return round(float(match["number"]) * _UNITS[match["unit"]])


def _questions(options: Mapping[str, Any]) -> EmbeddedQuestions | None:
    from reports.ask.page import EmbeddedQuestions
    from reports.ask.rows import RowChoice

    limit, where = options["with_rows"], options["rows_where"]
    if options["no_ask"]:
        if limit is not None or where is not None:
            raise InputError(
                "--no-ask leaves out the page that --with-rows and --rows-where are about",
                hint="give one or the other",
            )
        return None
    n_rows = None if limit is None else parse_amount("--with-rows", limit)
    return EmbeddedQuestions(RowChoice(n_rows, where))


ask_options = gathered(
    "questions",
    _questions,
    click.option(
        "--with-rows",
        metavar="N",
        help="how many attention rows at most travel with the page Ask, for instance 10M: whole "
        "prompts, the first ones (default: as many as keep it below 25 MB)",
    ),
    click.option(
        "--rows-where",
        metavar="CONDITION",
        help="which attention rows travel with it, in SQL, for instance \"model = 'a' and "
        'layer < 3"',
    ),
    click.option("--no-ask", is_flag=True, help="leave out the page Ask, and DuckDB with it"),
)


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
@ask_options
@engine_options
@parameter_options
@json_option("the finding and the page's path")
def command(
    dataset: Path | str,
    out: Path,
    single_file: bool,
    questions: EmbeddedQuestions | None,
    engine: EngineChoice,
    parameters: Parameters,
    as_json: bool,
) -> int:
    """Writes the pages of a dataset, says what they found, and prints the path of the first."""
    from reports.site.pages import write_report
    from sql.access.interrupts import interruptible
    from sql.session import open_session

    with (
        open_session(dataset, parameters, engine=engine) as session,
        interruptible(session.connection),
    ):
        page = write_report(session, out, single_file, questions=questions)
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
