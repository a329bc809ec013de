"""The commands `run` and `demo`: a study through the stages, each loaded only when it is called."""

from __future__ import annotations

import functools
import importlib
import pathlib
from collections.abc import Callable
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
            functools.partial(_study_stage, stage, as_json)
            for stage in (ingest_study, ablate_study, read_out_study, generate_study)
        )
    )
    return study_run.run_study(read_study(name, out), stages, __version__, as_json)


def _study_stage(stage: Callable[..., None], as_json: bool, study: Study, *which: str) -> None:
    """What writes into a study's dataset, and then the text of the views beside the rows."""
    stage(study, *which, as_json=as_json)
    importlib.import_module("sql.graph.export").write_views(study.dataset)


def ingest_study(study: Study, as_json: bool) -> None:
    """Ingests the models of a study that its dataset lacks, and prints what was done.

    What the study leaves open is left to the defaults of ingest.
    """
    from ingest.command import ingest_and_print, prompts_named
    from ingest.models.options import LoadOptions
    from ingest.models.source import ModelSource
    from ingest.prompts.reading import Reading

    ingest_and_print(
        [ModelSource(model, source) for model, source in study.models.items()],
        study.dataset,
        prompts_named(study.prompts.file, study.prompts.variant),
        Reading(study.prompts.structural, study.prompts.skip_unreadable),
        LoadOptions(**study.run.given("device", "dtype", "precision", "trust_remote_code")),
        as_json,
    )


# What runs models again runs them where they ran.
def ablate_study(study: Study, method: str, as_json: bool) -> None:
    """Ablates the heads of a study's models, as far as that is not done; method: as of ablate."""
    ablate = importlib.import_module("ingest.ablation.command").ablate_and_print
    kinds = study.effects.ablate if method == "exact" else study.effects.attribution
    ablate(study.dataset, as_json, models=tuple(study.models), kinds=kinds, method=method)


def read_out_study(study: Study, as_json: bool) -> None:
    """Reads out what a study's dataset lacks of its classes of tokens, and prints what was done."""
    read_out = importlib.import_module("ingest.readout.command").read_out_and_print
    read_out(study.dataset, study.classes, as_json, models=tuple(study.models))


def generate_study(study: Study, model: str, as_json: bool) -> None:
    """Generates the texts of a model of a study that its dataset lacks, and prints how many."""
    from ingest.generation.command import generate_and_print, requested
    from ingest.generation.sampling import Sampling

    asked = study.generate
    assert asked is not None, "the stage is called for a study with the section"
    request = requested(
        models=(model,),
        ablations=asked.ablate.get(model, ()),
        classes=study.classes_of_steps,
        sampling=Sampling(**asked.given("temperature", "top_k", "max_new_tokens")),
        prompts_file=asked.prompts,
        **asked.given("seeds", "kind"),
    )
    generate_and_print(study.dataset, request, as_json)
