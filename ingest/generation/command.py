"""The command `headswap generate`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ingest.dataset.relations import ABLATION_KINDS
from ingest.engine_option import spark_option
from ingest.generation.ablated import ALL_HEADS, parse_conditions
from ingest.generation.sampling import Sampling
from ingest.kernel.command_line import gathered, json_option
from ingest.kernel.errors import InputError
from ingest.producers.on_spark import OnSpark, running
from ingest.prompts.classes import DEMO_CLASS, REGULATION, PhraseClass, parse_classes
from ingest.prompts.prompt_set import PromptSet, read_prompts
from ingest.rerun_options import (
    dataset_argument,
    device_option,
    model_option,
    parse_now_at,
    source_option,
)

if TYPE_CHECKING:
    from ingest.generation.pipeline import Request

_DEMO_TASKS = "demo:tasks"


def _sampling(options: Mapping[str, Any]) -> Sampling:
    return Sampling(**options)


@click.command
@dataset_argument
@model_option
@click.option(
    "--prompts",
    "prompts_file",
    metavar="FILE",
    help="prompts as for ingest, - for stdin, a task without steps being enough, or "
    f"{_DEMO_TASKS}[,prompts=N], 60 with complexities (default: those of the dataset). A task is "
    "continued after <|steps|>, a text at its end",
)
@click.option(
    "--variant",
    metavar="NAME",
    default="standard",
    help="which variant of each pair in FILE, or all (default: standard)",
)
@click.option("--seeds", metavar="N", type=int, default=5, help="texts a prompt (default: 5)")
@click.option(
    "--ablate",
    "ablations",
    metavar="HEADS",
    multiple=True,
    help="heads to ablate, L3H5, or L2H0+L3H5 for two together; once for each ablation, or "
    f"{ALL_HEADS}: each head by itself. The whole model writes, too",
)
@click.option(
    "--kind",
    type=click.Choice(ABLATION_KINDS),
    default="zero",
    help="what stands for what a head mixes: zero, nothing (default); mean, its mean over all "
    "positions of the dataset's prompts; resample, what it mixes in another of these prompts",
)
@gathered(
    "sampling",
    _sampling,
    click.option(
        "--temperature",
        metavar="T",
        type=float,
        default=1.0,
        help="what logits are divided by; 0 takes the most probable token (default: 1)",
    ),
    click.option(
        "--top-k",
        metavar="K",
        type=int,
        help="draw from the K most probable tokens only (default: from all)",
    ),
    click.option(
        "--max-new-tokens",
        metavar="N",
        type=int,
        default=256,
        help="cut a text after so many tokens (default: 256)",
    ),
)
@click.option(
    "--class",
    "classes",
    metavar="CLASS",
    multiple=True,
    help=f"{REGULATION}=PHRASE;PHRASE or {REGULATION}=@FILE or {DEMO_CLASS}: what a step begins "
    "with that n_regulation_steps counts",
)
@click.option(
    "--batch-size",
    metavar="N",
    type=int,
    default=32,
    help="texts that are computed together; changes none of them (default: 32)",
)
@source_option
@device_option
@spark_option
@json_option("what was done")
def command(dataset: Path, sources: tuple[str, ...], as_json: bool, **options: Any) -> int:
    """Generates, and prints how many texts were added."""
    spark = options.pop("spark")
    asked = requested(now_at=parse_now_at(sources), **options)
    generate_and_print(dataset, asked, as_json, spark)
    return 0


def requested(
    prompts_file: str | None = None,
    variant: str = "standard",
    ablations: Sequence[str] = (),
    kind: str = "zero",
    classes: Sequence[str] = (),
    **request: Any,
) -> Request:
    """What is to be generated. prompts_file, ablations, classes: as the options name them.

    request: other fields of a Request.

    Raises: InputError where one of them cannot be used.
    """
    from ingest.generation.pipeline import Request

    return Request(
        prompts=_prompts(prompts_file, variant),
        conditions=parse_conditions(ablations, kind),
        kind=kind,
        regulation=_regulation(classes),
        **request,
    )


def generate_and_print(
    dataset: Path, asked: Request, as_json: bool = False, spark: OnSpark | None = None
) -> None:
    """Generates as `ingest.generation.pipeline.generate`, and prints how many texts were added.

    spark: the cluster whose machines run the models, None for this process.

    Raises: as that does.
    """
    from ingest.generation.pipeline import generate
    from ingest.rerun_on_spark import made_on

    with running(spark) as cluster:
        done = generate(dataset, asked, made_on(cluster, asked))
    if as_json:
        print(json.dumps({"dataset": str(dataset), **vars(done)}))
        return
    for name, count in done.texts.items():
        print(f"{name}: {count:,} texts added, {done.were_there[name]:,} were there")


def _prompts(file: str | None, variant: str) -> PromptSet | None:
    if file is None:
        return None
    if file.startswith(_DEMO_TASKS):
        from ingest.demo.tasks import demo_tasks  # the demo's words are needed only here

        return demo_tasks(file)
    return read_prompts(Path(file), variant, needs_steps=False)


def _regulation(arguments: Sequence[str]) -> PhraseClass | None:
    classes = parse_classes(arguments)
    for found in classes:
        if found.name != REGULATION:
            raise InputError(
                f"the class {found.name!r} has no column in generations, which counts "
                f"{REGULATION} steps",
                hint="count other steps in SQL, over the column steps",
            )
    return classes[0] if classes else None
