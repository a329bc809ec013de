"""The command `headswap ablate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ingest.ablation.options import (
    ALL_PAIRS,
    EXACT,
    KINDS,
    METHODS,
    ZERO,
    parse_heads,
    parse_pairs,
)
from ingest.engine_option import spark_option
from ingest.kernel.command_line import json_option
from ingest.producers.on_spark import OnSpark, running
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
@click.option(
    "--pairs",
    "pairs",
    metavar="HEAD+HEAD",
    multiple=True,
    help="ablate two heads together as well as by themselves, L3H0+L3H5; once for each, or "
    f"{ALL_PAIRS}: every two of those that --head names",
)
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default=EXACT,
    help="exact: run the model without each head (default); attribution: estimate the change of "
    "the loss for all heads at once from one gradient",
)
@source_option
@device_option
@spark_option
@json_option("what was done")
def command(
    dataset: Path,
    models: tuple[str, ...],
    heads: tuple[str, ...],
    kinds: tuple[str, ...],
    pairs: tuple[str, ...],
    sources: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> int:
    """Ablates, and prints how many rows were added."""
    ablate_and_print(
        dataset,
        as_json,
        models=models,
        heads=parse_heads(heads),
        kinds=kinds,
        pairs=parse_pairs(pairs),
        now_at=parse_now_at(sources),
        **options,
    )
    return 0


def ablate_and_print(
    dataset: Path, as_json: bool = False, spark: OnSpark | None = None, **request: Any
) -> None:
    """Ablates as `ingest.ablation.pipeline.ablate`, and prints how many rows were added.

    spark: the cluster whose machines run the models, None for this process. request: the fields of
    its Request.

    Raises: as that does.
    """
    from ingest.ablation.pipeline import Request, ablate
    from ingest.rerun_on_spark import made_on

    asked = Request(**request)
    with running(spark) as cluster:
        done = ablate(dataset, asked, made_on(cluster, asked))
    if as_json:
        print(
            json.dumps({"dataset": str(dataset), "added": done.rows, "were_there": done.were_there})
        )
        return
    for name, count in done.rows.items():
        print(f"{name}: {count:,} rows added, {done.were_there[name]:,} ablations were there")
