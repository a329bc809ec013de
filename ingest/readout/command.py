"""The command `headswap readout`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ingest.engine_option import spark_option
from ingest.kernel.command_line import json_option
from ingest.producers.on_spark import OnSpark, running
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
    "at_all_positions",
    is_flag=True,
    help="read classes out at all positions (default: where the next token begins a step)",
)
@source_option
@device_option
@spark_option
@json_option("what was done")
def command(
    dataset: Path, classes: tuple[str, ...], sources: tuple[str, ...], as_json: bool, **options: Any
) -> int:
    """Reads out, and prints how many rows were added."""
    read_out_and_print(dataset, classes, as_json, now_at=parse_now_at(sources), **options)
    return 0


def read_out_and_print(
    dataset: Path,
    classes: Sequence[str],
    as_json: bool = False,
    spark: OnSpark | None = None,
    **request: Any,
) -> None:
    """Reads out as `ingest.readout.pipeline.read_out`, and prints how many rows were added.

    classes: as the values of `--class`. spark: the cluster whose machines run the models, None for
    this process. request: other fields of a Request.

    Raises: as that does, and InputError where a class is malformed.
    """
    from ingest.readout.pipeline import Request, read_out
    from ingest.rerun_on_spark import made_on

    asked = Request(tuple(parse_classes(classes)), **request)
    with running(spark) as cluster:
        done = read_out(dataset, asked, made_on(cluster, asked))
    if as_json:
        print(json.dumps({"dataset": str(dataset), "added": done.rows}))
        return
    for table, counts in done.rows.items():
        for model, count in counts.items():
            print(f"{table}, {model}: {count:,} rows added")
