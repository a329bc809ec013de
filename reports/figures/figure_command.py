"""The command `headswap figure`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ingest.kernel.command_line import HintedCommand, gathered, json_option
from sql.console.completion import complete_file, complete_model, complete_model_head
from sql.console.options import parameter_options, place_argument

if TYPE_CHECKING:
    from reports.figures.figures import Choice
    from sql.parameters import Parameters

NAMES = {
    "profiles": "structural mass along the prompt, of one or two heads",
    "pattern": "a head's attention on one prompt",
    "chance": "the match and the same-index pairs against what chance gives",
    "distribution": "how alike all pairs of heads of two models are",
    "matrix": "the cosine of every head of a model with every head of another",
    "swaps": "a line from every head of a model to its best match in another",
    "trends": "a score of the heads over the checkpoints of a run",
}
THEMES = ("light", "dark", "print")


def _choice_from(options: Mapping[str, Any]) -> Choice:
    """What the options choose to draw.

    Raises: InputError where the width is not possible.
    """
    from ingest.kernel.errors import InputError
    from reports.charts.theme import THEMES as COLOURS
    from reports.figures.figure_files import pixels
    from reports.figures.figures import Choice

    if not 40 <= options["width"] <= 1000:
        raise InputError(f"a figure of {options['width']:g} mm", hint="give --width 40 to 1000")
    return Choice(
        heads=options["heads"],
        other=options["other"],
        prompt=options["prompt"],
        score=options["score"],
        theme=COLOURS[options["theme"]],
        width=pixels(options["width"]),
    )


def _head_meant(words: str) -> str:
    return f"did you mean {' '.join(f'--head {word}' for word in words.split())}?"


@click.command(cls=HintedCommand, meant=_head_meant)
@place_argument
@click.argument(
    "name",
    metavar="NAME",
    type=click.Choice(list(NAMES)),
    help="; ".join(f"{name}: {summary}" for name, summary in NAMES.items()),
)
@click.option(
    "-o",
    "--out",
    metavar="FILE",
    type=Path,
    required=True,
    shell_complete=complete_file,
    help="the file, in the form that its name ends in: .svg, .png (300 pixels an inch), .pdf, "
    "or .csv for the numbers under the figure",
)
@gathered(
    "choice",
    _choice_from,
    click.option(
        "--head",
        "heads",
        metavar="MODEL:HEAD",
        multiple=True,
        shell_complete=complete_model_head,
        help="the head of a pattern, or one or two of profiles, for instance standard:L3H0 "
        "(default: the reference head, and its best match)",
    ),
    click.option(
        "--prompt",
        metavar="ID",
        type=int,
        help="prompt_id of the prompt of a pattern (default: the shortest)",
    ),
    click.option(
        "--other",
        metavar="MODEL",
        shell_complete=complete_model,
        help="the model in which the reference head's match is looked for (default: the first)",
    ),
    click.option(
        "--score",
        metavar="NAME",
        help="the score of trends, as the view head_scores names it (default: induction, or the "
        "first that is defined)",
    ),
    click.option(
        "--theme",
        type=click.Choice(THEMES),
        default="print",
        help="its colours (default: print)",
    ),
    click.option(
        "--width",
        metavar="MM",
        type=float,
        default=89.0,
        help="width in millimetres, all included (default: 89, a column; 183 is a page)",
    ),
)
@parameter_options
@json_option("the file's path")
def command(
    dataset: Path | str, name: str, out: Path, choice: Choice, parameters: Parameters, as_json: bool
) -> int:
    """Writes the figure and prints its path."""
    from reports.figures.figure_files import check_figure_file, write_figure
    from reports.figures.figures import draw
    from sql.access.interrupts import interruptible
    from sql.session import open_session

    check_figure_file(out)
    with open_session(dataset, parameters) as session, interruptible(session.connection):
        drawn = draw(session, name, choice)
    for note in drawn.notes:
        print(note, file=sys.stderr)
    write_figure(drawn, out)
    print(json.dumps({"figure": str(out)}) if as_json else out)
    return 0
