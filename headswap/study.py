"""The commands `run` and `demo`: a study through the stages, each loaded only when it is called."""

from __future__ import annotations

import functools
import pathlib
from typing import TYPE_CHECKING

import click

from headswap.commands import __version__

if TYPE_CHECKING:
    from reports.study.study import Study


@click.command
@click.option(
    "--out",
    metavar="DIR",
    type=pathlib.Path,
    required=True,
    help="where the dataset and the report go",
)
def demo(out: pathlib.Path) -> int:
    """Runs the study `demo` in a folder that must be named."""
    return run_study("demo", out)


@click.command
@click.argument(
    "study",
    metavar="STUDY",
    help="a study file, or a study that comes with headswap: interpgpt (the released pair), demo, "
    "data-or-seed (eight demo models), pythia (checkpoints of one run), polypythias (seeds)",
)
@click.option(
    "--out",
    metavar="DIR",
    type=pathlib.Path,
    help="where its relative paths of results start (default: the file's folder; for a study that "
    "comes with headswap a folder of its name)",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="print a line of JSON for each stage, and one of the run",
)
def run(study: str, out: pathlib.Path | None, as_json: bool) -> int:
    """Runs a study."""
    return run_study(study, out, as_json)


def run_study(name: str, out: pathlib.Path | None = None, as_json: bool = False) -> int:
    """Runs a study by its file or name, and returns the exit code.

    out: where its relative paths of results start, None for the folder that `read_study` states.
    as_json: print a line of JSON for each stage, and one of the run.
    """
    from reports.study import study_run
    from reports.study.study import read_study

    stages = study_run.Stages(
        *(
            functools.partial(stage, as_json=as_json)
            for stage in (ingest_study, ablate_study, read_out_study)
        )
    )
    return study_run.run_study(read_study(name, out), stages, __version__, as_json)


def ingest_study(study: Study, as_json: bool = False) -> None:
    """Ingests the models of a study that its dataset lacks, and prints what was done.

    What the study leaves open is left to the defaults of ingest.
    """
    from ingest.command import ingest_and_print, prompts_named
    from ingest.models.options import LoadOptions
    from ingest.models.source import ModelSource
    from sql.graph.export import write_views

    ingest_and_print(
        [ModelSource(model, source) for model, source in study.models.items()],
        study.dataset,
        prompts_named(study.prompts.file, study.prompts.variant),
        study.prompts.structural,
        LoadOptions(**study.run.given("device", "dtype", "precision", "trust_remote_code")),
        as_json,
    )
    write_views(study.dataset)


def ablate_study(study: Study, as_json: bool = False) -> None:
    """Ablates the heads of a study's models that its dataset has no such effects of, and prints it.

    Runs where the models ran.
    """
    from ingest.ablation.command import ablate_and_print
    from sql.graph.export import write_views

    ablate_and_print(
        study.dataset, tuple(study.models), kinds=study.effects.ablate, as_json=as_json
    )
    write_views(study.dataset)


def read_out_study(study: Study, as_json: bool = False) -> None:
    """Reads out what a study's dataset lacks of its classes of tokens, and prints what was done.

    Runs where the models ran.
    """
    from ingest.readout.command import read_out_and_print
    from sql.graph.export import write_views

    classes = (study.effects.token_classes or {}).items()
    read_out_and_print(
        study.dataset,
        [f"{name}={';'.join(phrases)}" for name, phrases in classes],
        tuple(study.models),
        as_json=as_json,
    )
    write_views(study.dataset)
