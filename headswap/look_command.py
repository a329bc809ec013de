"""The command `headswap look`: from a sentence to a picture."""

from __future__ import annotations

import json
import re
import sys
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ingest.kernel.command_line import gathered, json_option
from ingest.kernel.errors import InputError

if TYPE_CHECKING:
    from headswap.looking import Look
    from ingest.models.options import LoadOptions

_HEAD = re.compile(r"([\w.-]+:)?[lL]\d+[hH]\d+")


@dataclass(frozen=True)
class Output:
    """Where the picture goes. file: None for a page beside the attention that is kept."""

    file: Path | None
    theme: str
    width: int
    is_opened: bool


def _output_from(options: Mapping[str, Any]) -> Output:
    """Raises: InputError where the file or the width is not possible."""
    from headswap.looking import check_file
    from reports.figures.figure_files import pixels

    if options["out"] is not None:
        check_file(options["out"])
    if not 40 <= options["width"] <= 1000:
        raise InputError(f"a figure of {options['width']:g} mm", hint="give --width 40 to 1000")
    return Output(options["out"], options["theme"], pixels(options["width"]), options["opened"])


def _load_options(options: Mapping[str, Any]) -> LoadOptions | None:
    from ingest.models.options import LoadOptions

    if options["device"] is None and not options["trust_remote_code"]:
        return None
    return LoadOptions(options["device"] or "auto", trust_remote_code=options["trust_remote_code"])


@click.command
@click.argument(
    "source",
    metavar="SOURCE",
    help="a model as `headswap ingest` takes it: a local folder, a bundle file, ORG/NAME on the "
    "hub, demo:adhd or another demo model, untrained:SOURCE; or the folder of a dataset, whose "
    "models are run again",
)
@click.argument(
    "words",
    metavar="[HEAD]... SENTENCE",
    nargs=-1,
    help="the heads that are shown large, as in L3H1, of a dataset also MODEL:L3H1 (default: all, "
    "small); and the text, in quotes, or - to read it from stdin",
)
@gathered(
    "output",
    _output_from,
    click.option(
        "-o",
        "--out",
        metavar="FILE",
        type=Path,
        help="a page (.html), a figure (.svg, .png at 300 pixels an inch, .pdf) or the weights as "
        "rows (.csv); default: a page in your cache folder",
    ),
    click.option(
        "--theme",
        metavar="NAME",
        default="light",
        help="colours of a figure: light (default), dark or print; a page has a button",
    ),
    click.option(
        "--width",
        metavar="MM",
        type=float,
        default=183.0,
        help="width of a figure in millimetres (default: 183, a page; 89 is a column)",
    ),
    click.option("--open", "opened", is_flag=True, help="open the page or figure, too"),
)
@click.option(
    "--model",
    "models",
    metavar="NAME",
    multiple=True,
    help="of a dataset: which of its models; once for each (default: those of the heads, or its "
    "first)",
)
@click.option(
    "--keep",
    metavar="DIR",
    type=Path,
    help="make the attention a dataset in this folder (default: keep it in your cache folder, "
    "where a second look at the same text finds it)",
)
@gathered(
    "options",
    _load_options,
    click.option(
        "--device",
        metavar="NAME",
        help="where to run: auto, cpu, cuda or mps (default: auto; of a dataset where its models "
        "ran)",
    ),
    click.option("--trust-remote-code", is_flag=True, help="run code that a model brings along"),
)
@json_option("paths, heads and tokens")
def command(
    source: str,
    words: tuple[str, ...],
    output: Output,
    models: tuple[str, ...],
    keep: Path | None,
    options: LoadOptions | None,
    as_json: bool,
) -> int:
    """Draws what heads attend to on a text, and prints the picture's path."""
    from headswap.looking import look

    heads, text = split_words(source, words)
    if text == "-":
        text = sys.stdin.read().strip()
    found = look(source, text, heads, models=models, keep=keep, options=options)
    file = output.file or _page_of(found, keep)
    found.save(file, theme=output.theme, width=output.width)
    if as_json:
        tokens = {model: found.tokens(model) for model in found.models}
        paths = {"picture": str(file), "dataset": str(found.dataset)}
        print(json.dumps({**paths, "heads": found.heads, "tokens": tokens}))
    else:
        print(file)
    if output.is_opened:
        webbrowser.open(file.resolve().as_uri())
    return 0


def split_words(source: str, words: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """The heads and the text that the words after the source name.

    >>> split_words("demo:adhd", ("L3H1", "Make tea"))
    (('L3H1',), 'Make tea')

    Raises: InputError where there is no text, or a word before it is no head.
    """
    if not words:
        raise InputError(
            f"of a model and a sentence only one is there: {source!r}",
            hint='write a model before the sentence, as in demo:adhd "The cat sat on the mat"',
        )
    *heads, text = words
    quoted = 'write the sentence last and in quotes, as in L3H1 "The cat sat on the mat"'
    if _HEAD.fullmatch(text):
        raise InputError(f"there is no sentence after the head {text}", hint=quoted)
    if wrong := next((word for word in heads if not _HEAD.fullmatch(word)), None):
        raise InputError(f"{wrong!r} is no head such as L3H1", hint=quoted)
    return tuple(heads), text


def _page_of(found: Look, keep: Path | None) -> Path:
    """Where a page goes that was given no name: into the cache, or beside what was kept."""
    if keep is None:
        return found.dataset.with_name("look.html")
    return keep.resolve().with_suffix(".html")
