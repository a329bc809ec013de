"""The commands that a study's run does the work of, as a person would type them.

They are shown, and never read again: a run calls functions with the study's values.
"""

from __future__ import annotations

from collections.abc import Sequence

from reports.study.study import Study
from sql.engines.engine import EngineChoice
from sql.parameters import Parameters


def ingest_command(study: Study) -> list[str]:
    """`headswap ingest` of the study's models and prompts."""
    words = [f"--model={name}={source}" for name, source in study.models.items()]
    prompts = study.prompts.file
    options = {} if prompts is None else {"prompts": prompts}
    options |= study.prompts.given("variant", "structural")
    options |= study.run.given("device", "dtype", "precision")
    words += [f"--{name}={value}" for name, value in options.items()]
    words += ["--skip-unreadable"] if study.prompts.skip_unreadable else []
    words += ["--trust-remote-code"] if study.run.trust_remote_code else []
    return ["headswap", "ingest", *words, f"--out={study.dataset}"]


def ablate_command(study: Study) -> list[str]:
    """`headswap ablate` of every head of the study's models."""
    return _ablate_command(study, study.effects.ablate)


def attribution_command(study: Study) -> list[str]:
    """`headswap ablate` that estimates what ablating each head changes."""
    return [*_ablate_command(study, study.effects.attribution), "--method=attribution"]


def _ablate_command(study: Study, kinds: Sequence[str]) -> list[str]:
    words = [f"--model={name}" for name in study.models]
    words += [f"--kind={kind}" for kind in kinds]
    return ["headswap", "ablate", str(study.dataset), *words]


def generate_command(study: Study, model: str) -> list[str]:
    """`headswap generate` of the texts of one of the study's models."""
    asked = study.generate
    assert asked is not None, "called for a study with the section"
    words = [] if asked.prompts is None else [f"--prompts={asked.prompts}"]
    words += [f"--ablate={heads}" for heads in asked.ablate.get(model, ())]
    options = asked.given("kind", "seeds", "temperature", "top_k", "max_new_tokens")
    words += [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    words += [f"--class={found}" for found in study.classes_of_steps]
    return ["headswap", "generate", str(study.dataset), f"--model={model}", *words]


def readout_command(study: Study) -> list[str]:
    """`headswap readout` of the study's classes of tokens and of what heads write."""
    words = [f"--class={found}" for found in study.classes]
    words += [f"--model={name}" for name in study.models]
    return ["headswap", "readout", str(study.dataset), *words]


def verify_command(study: Study) -> list[str]:
    """`headswap verify` of the stored data."""
    return ["headswap", "verify", str(study.dataset)]


def report_command(study: Study) -> list[str]:
    """`headswap report` of the study's dataset."""
    options = [*_engine(study), *_options(study.analysis)]
    return ["headswap", "report", str(study.dataset), f"--out={study.report}", *options]


def claims_command(study: Study) -> list[str]:
    """`headswap claims` of the study's claims."""
    options = [*_engine(study), *_options(study.analysis)]
    options += [f"--claim={claim.text}" for claim in study.analysis.claims]
    return ["headswap", "claims", str(study.dataset), *options]


def _engine(study: Study) -> list[str]:
    """The options of the engine, where it is another than DuckDB."""
    engine = study.engine
    words = [] if engine.name == EngineChoice.name else [f"--engine={engine.name}"]
    given = {"master": engine.master, "warehouse": engine.warehouse}
    return words + [f"--{name}={value}" for name, value in given.items() if value is not None]


def _options(analysis: Parameters) -> list[str]:
    """The options of what is not left to its default, the claims aside."""
    words = []
    if analysis.reference_layer is not None:
        head = f"L{analysis.reference_layer}H{analysis.reference_head}"
        words.append(f"--reference={':'.join(filter(None, (analysis.reference_model, head)))}")
    for name in ("bins", "similarity"):
        value = getattr(analysis, name)
        if value != getattr(Parameters, name):
            words.append(f"--{name}={value}")
    words += [f"--pair={':'.join(pair)}" for pair in analysis.pairs]
    return words + [f"--group={name}={','.join(models)}" for name, models in analysis.groups]
