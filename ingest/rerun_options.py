"""The options of every command that runs models of a dataset again: which, from where, on what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ingest.kernel.errors import InputError
from ingest.models.options import DEVICES

dataset_argument = click.argument("dataset", type=Path, metavar="DATASET")
model_option = click.option(
    "--model", "models", metavar="NAME", multiple=True, help="once for each (default: all)"
)
source_option = click.option(
    "--source",
    "sources",
    metavar="NAME=SOURCE",
    multiple=True,
    help="where a model lies now, if it was moved since it was ingested",
)
device_option = click.option(
    "--device", type=click.Choice(DEVICES), help="where to run (default: where the model ran)"
)


def parse_now_at(arguments: Sequence[str]) -> dict[str, str]:
    """Reads the values of `--source`, `NAME=SOURCE`.

    >>> parse_now_at(["adhd=models/adhd"])
    {'adhd': 'models/adhd'}

    Raises: InputError where one is malformed.
    """
    found = {}
    for argument in arguments:
        name, equals, source = argument.partition("=")
        if not (name and equals and source):
            raise InputError(
                f"--source {argument!r} is not NAME=SOURCE",
                hint="for example --source adhd=path/to/folder",
            )
        found[name] = source
    return found
