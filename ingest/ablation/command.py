"""The command `headswap ablate`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from ingest.ablation.options import KINDS, ZERO, Head, parse_heads
from ingest.kernel.command_line import json_option
from ingest.rerun_options import (
    dataset_argument,
    device_option,
    model_option,
    parse_now_at,
    source_option,
)


@click.command
@dataset_argument
@model_option
@click.option(
    "--head", "heads", metavar="HEAD", multiple=True, help="L3H5; once for each (default: all)"
)
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(KINDS),
    multiple=True,
    default=(ZERO,),
    help="what stands for what the head mixes: zero, nothing (default); mean, its mean over all "
    "positions of all prompts; resample, what it mixes in another prompt; once for each",
)
@source_option
@device_option
@json_option("what was done")
def command(
    dataset: Path,
    models: tuple[str, ...],
    heads: tuple[str, ...],
    kinds: tuple[str, ...],
    sources: tuple[str, ...],
    device: str | None,
    as_json: bool,
) -> int:
    """Ablates, and prints how many rows were added."""
    now_at = parse_now_at(sources)
    ablate_and_print(dataset, models, parse_heads(heads), kinds, device, now_at, as_json)
    return 0


def ablate_and_print(
    dataset: Path,
    models: Sequence[str],
    heads: Sequence[Head] = (),
    kinds: Sequence[str] = (ZERO,),
    device: str | None = None,
    now_at: Mapping[str, str] | None = None,
    as_json: bool = False,
) -> None:
    """Ablates as `ingest.ablation.pipeline.ablate`, and prints how many rows were added.

    Raises: as that does.
    """
    from ingest.ablation.pipeline import Request, ablate

    request = Request(tuple(models), tuple(heads), tuple(kinds), device, now_at or {})
    done = ablate(dataset, request)
    if as_json:
        print(
            json.dumps({"dataset": str(dataset), "added": done.rows, "were_there": done.were_there})
        )
        return
    for name, count in done.rows.items():
        print(f"{name}: {count:,} rows added, {done.were_there[name]:,} ablations were there")
