"""The command `headswap figure`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from sql.console.options import add_dataset_argument, add_parameter_options, parameters_from

NAMES = {
    "profiles": "structural mass along the prompt, of one or two heads",
    "pattern": "a head's attention on one prompt",
    "chance": "the match and the same-index pairs against what chance gives",
    "distribution": "how alike all pairs of heads of two models are",
    "matrix": "the cosine of every head of a model with every head of another",
    "swaps": "a line from every head of a model to its best match in another",
}
THEMES = ("light", "dark", "print")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `headswap figure`."""
    add_dataset_argument(parser)
    parser.add_argument(
        "name",
        metavar="NAME",
        choices=NAMES,
        help="; ".join(f"{name}: {summary}" for name, summary in NAMES.items()),
    )
    parser.add_argument(
        "-o",
        "--out",
        metavar="FILE",
        type=Path,
        required=True,
        help="the file, in the form that its name ends in: .svg, .png (300 pixels an inch), .pdf, "
        "or .csv for the numbers under the figure",
    )
    parser.add_argument(
        "--head",
        dest="heads",
        metavar="MODEL:HEAD",
        action="append",
        default=[],
        help="the head of a pattern, or one or two of profiles, for instance standard:L3H0 "
        "(default: the reference head, and its best match)",
    )
    parser.add_argument(
        "--prompt",
        metavar="ID",
        type=int,
        help="prompt_id of the prompt of a pattern (default: the shortest)",
    )
    parser.add_argument(
        "--other",
        metavar="MODEL",
        help="the model in which the reference head's match is looked for (default: the first)",
    )
    parser.add_argument(
        "--theme", choices=THEMES, default="print", help="its colours (default: print)"
    )
    parser.add_argument(
        "--width",
        metavar="MM",
        type=float,
        default=89.0,
        help="width in millimetres, all included (default: 89, a column; 183 is a page)",
    )
    add_parameter_options(parser)
    parser.add_argument("--json", action="store_true", help="print the file's path as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Writes the figure and prints its path."""
    from ingest.kernel.errors import InputError
    from reports.charts.theme import THEMES as COLOURS
    from reports.figures.figure_files import check_figure_file, pixels, write_figure
    from reports.figures.figures import FIGURES, Choice
    from sql.session import open_session

    if not 40 <= arguments.width <= 1000:
        raise InputError(f"a figure of {arguments.width:g} mm", hint="give --width 40 to 1000")
    check_figure_file(arguments.out)
    choice = Choice(
        heads=tuple(arguments.heads),
        other=arguments.other,
        prompt=arguments.prompt,
        theme=COLOURS[arguments.theme],
        width=pixels(arguments.width),
    )
    with open_session(arguments.dataset, parameters_from(arguments)) as session:
        drawn = FIGURES[arguments.name](session, choice)
    for note in drawn.notes:
        print(note, file=sys.stderr)
    write_figure(drawn, arguments.out)
    print(json.dumps({"figure": str(arguments.out)}) if arguments.json else arguments.out)
    return 0
