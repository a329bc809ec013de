"""The command `headswap readout`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from ingest.kernel.command_line import json_option
from ingest.prompts.classes import DEMO_CLASS, parse_classes
from ingest.rerun_options import (
    dataset_argument,
    device_option,
    model_option,
    parse_now_at,
    source_option,
)


@click.command
@dataset_argument
@click.option(
    "--class",
    "classes",
    metavar="CLASS",
    multiple=True,
    help="NAME=PHRASE;PHRASE, or NAME=@FILE with a phrase a line: the tokens that these phrases "
    f"begin with, whose probability is read out after each layer; or {DEMO_CLASS}, the regulation "
    "actions of the demo; once for each (default: none, then only what heads write is stored)",
)
@model_option
@click.option(
    "--all-positions",
    is_flag=True,
    help="read classes out at all positions (default: where the next token begins a step)",
)
@source_option
@device_option
@json_option("what was done")
def command(
    dataset: Path,
    classes: tuple[str, ...],
    models: tuple[str, ...],
    all_positions: bool,
    sources: tuple[str, ...],
    device: str | None,
    as_json: bool,
) -> int:
    """Reads out, and prints how many rows were added."""
    now_at = parse_now_at(sources)
    read_out_and_print(dataset, classes, models, all_positions, device, now_at, as_json)
    return 0


def read_out_and_print(
    dataset: Path,
    classes: Sequence[str],
    models: Sequence[str],
    at_all_positions: bool = False,
    device: str | None = None,
    now_at: Mapping[str, str] | None = None,
    as_json: bool = False,
) -> None:
    """Reads out as `ingest.readout.pipeline.read_out`, and prints how many rows were added.

    classes: as the values of `--class`.

    Raises: as that does, and InputError where a class is malformed.
    """
    from ingest.readout.pipeline import Request, read_out

    phrases = tuple(parse_classes(classes))
    request = Request(phrases, tuple(models), at_all_positions, device, now_at or {})
    done = read_out(dataset, request)
    if as_json:
        print(json.dumps({"dataset": str(dataset), "added": done.rows}))
        return
    for table, counts in done.rows.items():
        for model, count in counts.items():
            print(f"{table}, {model}: {count:,} rows added")
