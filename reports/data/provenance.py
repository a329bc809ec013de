"""Where a dataset comes from: whether its rows are sound, how it is made again, how it is cited."""

from __future__ import annotations

import importlib.metadata
import itertools
import shlex
from dataclasses import dataclass

from ingest.dataset.manifest import PROBE_PREFIX, Manifest, ModelEntry
from ingest.kernel.text import printable
from reports.data import questions
from reports.data.report import Report
from sql.session import Session

# Where a command of ours names what its reader chooses.
DATASET, FOLDER, PROMPTS = "DATASET", "DIR", "PROMPTS"
_DEFAULT_TYPE = "float32"


@dataclass(frozen=True)
class Check:
    """What the view row_checks found in one model's rows; largest_error: of a query's sum of 1."""

    model: str
    n_rows: int
    n_queries: int
    n_missing: int
    n_incomplete: int
    largest_error: float | None
    tolerance: float
    is_sound: bool


@dataclass(frozen=True)
class Provenance:
    """How a dataset and its report were made.

    dataset_sha256: of the manifest. commands: as typed in a shell. citation: a BibTeX entry.
    n_unreadable: prompts that an ingest left out, as a model cannot read them.
    """

    dataset_sha256: str
    checks: tuple[Check, ...]
    commands: tuple[str, ...]
    citation: str
    n_unreadable: int


def read_provenance(session: Session, report: Report) -> Provenance:
    """Checks all rows, and says how they and the report were made."""
    manifest = session.dataset.manifest
    checks = {row["model"]: Check(**row) for row in session.rows(questions.ROW_CHECKS)}
    return Provenance(
        dataset_sha256=manifest.sha256(),
        checks=tuple(checks[model.name] for model in manifest.models),
        commands=(*_ingest_commands(manifest), _report_command(session, report)),
        citation=_citation(manifest),
        n_unreadable=len(manifest.left_out or ()),
    )


def _ingest_commands(manifest: Manifest) -> list[str]:
    """One command for all models, or one after the other where they were run differently."""
    given = ["--prompts", PROMPTS, "--variant", manifest.variant]
    if manifest.variant.startswith(PROBE_PREFIX):
        given = ["--prompts", manifest.variant]
    if manifest.structural is not None:
        given += ["--structural", manifest.structural]
    given += ["--skip-unreadable"] if manifest.left_out else []
    commands = [
        f"# {model.name} was imported from {printable(model.source)}: no command runs it again"
        for model in manifest.models
        if model.is_imported
    ]
    ingested = [model for model in manifest.models if not model.is_imported]
    for options, models in itertools.groupby(ingested, key=_options):
        named = itertools.chain(*(("--model", f"{m.name}={_pinned(m)}") for m in models))
        words = ["headswap", "ingest", *named, *given, *options, "--out", DATASET]
        commands.append(shlex.join(words))
    return commands


def _options(model: ModelEntry) -> tuple[str, ...]:
    """How a model ran, as options of ingest."""
    words = ["--device", model.device] if model.device else []
    if model.dtype != _DEFAULT_TYPE:
        words += ["--dtype", model.dtype]
    if model.precision != _DEFAULT_TYPE:
        words += ["--precision", model.precision]
    return (*words, "--trust-remote-code") if model.trust_remote_code else tuple(words)


def _pinned(model: ModelEntry) -> str:
    """The source, at the commit that its revision was then."""
    if model.revision is None:
        return model.source
    return f"{model.source.partition('@')[0]}@{model.revision}"


def _report_command(session: Session, report: Report) -> str:
    words = ["headswap", "report", DATASET, "--out", FOLDER, "--bins", str(report.bins)]
    words += ["--variant", report.variant]
    if report.reference.is_given:
        words += ["--reference", f"{report.reference.head.model}:{report.reference.head.index}"]
    for pair in session.parameters.pairs:
        words += ["--pair", ":".join(pair)]
    for name, models in session.parameters.groups:
        words += ["--group", f"{name}={','.join(models)}"]
    words += ["--similarity", report.similarity]
    return shlex.join(words)


def _citation(manifest: Manifest) -> str:
    version = importlib.metadata.version("headswap")
    rows = manifest.rows_of("attention")
    return (
        "@software{headswap,\n"
        "  author = {{headswap contributors}},\n"
        "  title = {headswap: attention patterns as rows},\n"
        f"  version = {{{version}}},\n"
        f"  note = {{Dataset of {rows:,} attention weights, SHA-256 {manifest.sha256()}}}\n"
        "}"
    )
