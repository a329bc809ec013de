"""A run of a study: ingest, effects, verification, report, claims; recorded at last."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.dataset.reader import open_dataset
from reports.data.rounding import rounded_or_none
from reports.site.report_command import print_page
from reports.study import commands
from reports.study.basis import Basis, basis_of, is_unchanged, page_hashes
from reports.study.runs import (
    ClaimNumbers,
    PairNumbers,
    Run,
    append_run,
    changes,
    read_runs,
    run_line,
)
from reports.study.study import Study
from sql.console.claims_command import claim_line, count_failed, print_claims, read_claims
from sql.console.verify_command import is_usable, print_checks, run_checks

if TYPE_CHECKING:
    from reports.data.report import Criterion, Head, Verdict


@dataclass(frozen=True)
class Stages:
    """What runs models: each writes into the study's dataset what it lacks, and prints what it did.

    They are given, as this stage of the program imports no other that runs models.
    """

    ingest: Callable[[Study], None]
    ablate: Callable[[Study, str], None]
    read_out: Callable[[Study], None]
    generate: Callable[[Study, str], None]


def run_study(study: Study, stages: Stages, version: str, as_json: bool = False) -> int:
    """Does what the commands of a study would do, shows them on stderr, and records the run.

    The ingest always runs, and compares the models with their sources; ablations, read-outs and
    generated texts add what the dataset lacks of them. What follows is done only where something
    changed since the last run: the dataset is verified, pages and claims are read from one session.

    stages: what writes into the study's dataset. version: that of headswap. as_json: a line of
    JSON for each stage, and one of the run.

    Returns: 0; 1 where the data is not sound, which ends the run unrecorded, or a claim does not
    hold.

    Raises: HeadswapError as the stages do.
    """
    began = datetime.now(UTC)
    earlier = read_runs(study.report)
    _show(commands.ingest_command(study))
    stages.ingest(study)
    if study.effects.ablate:
        _show(commands.ablate_command(study))
        stages.ablate(study, "exact")
    if study.effects.attribution:
        _show(commands.attribution_command(study))
        stages.ablate(study, "attribution")
    if study.effects.token_classes is not None:
        _show(commands.readout_command(study))
        stages.read_out(study)
    for model in study.models if study.generate else ():
        _show(commands.generate_command(study, model))
        stages.generate(study, model)
    basis = basis_of(open_dataset(study.dataset), study.sha256(), version)
    if earlier and is_unchanged(earlier[-1], basis, study.report):
        run = replace(earlier[-1], unchanged=True, **_times(began))
        _print_unchanged(study, run, earlier, as_json)
    else:
        made = _verify_and_report(study, basis, began, as_json)
        if made is None:
            return 1
        run = made
    _record(run, earlier, study.report, as_json)
    return 0 if all(claim.holds for claim in run.claims) else 1


def _verify_and_report(study: Study, basis: Basis, began: datetime, as_json: bool) -> Run | None:
    """Verifies the data, writes the pages, reads the claims; None where the data is not sound."""
    from reports.data.queries import read_report
    from reports.site.pages import PAGE_NAME, write_report
    from sql.access.interrupts import interruptible
    from sql.session import open_session

    _show(commands.verify_command(study))
    checks = run_checks(study.dataset)
    print_checks(study.dataset, checks, as_json)
    if not is_usable(checks):
        return None
    with (
        open_session(study.dataset, study.analysis, engine=study.engine) as session,
        interruptible(session.connection),
    ):
        _show(commands.report_command(study))
        report = read_report(session)
        print_page(write_report(session, study.report, report=report), as_json)
        if claims := read_claims(session):
            _show(commands.claims_command(study))
            print_claims(study.dataset, claims, as_json=as_json)
    return Run(
        **vars(basis),
        **_times(began),
        page=PAGE_NAME,
        files=page_hashes(study.report),
        unchanged=False,
        models=tuple(model.name for model in report.models),
        n_prompts=report.n_prompts,
        reference=_name(report.reference.head),
        pairs=tuple(
            _pair_numbers(criterion, verdict)
            for criterion, verdict in zip(report.criteria, report.verdicts, strict=True)
        ),
        claims=tuple(map(_claim_numbers, claims)),
    )


def _print_unchanged(study: Study, run: Run, earlier: Sequence[Run], as_json: bool) -> None:
    """Prints what a full run would print of its page and claims."""
    times = (before.time for before in reversed(earlier) if not before.unchanged)
    print(f"nothing changed since {next(times, earlier[0].time)}", file=sys.stderr)
    print_page(study.report / run.page, as_json)
    claims = list(map(asdict, run.claims))
    if not as_json:
        print(*map(claim_line, claims), sep="\n", end="\n" if claims else "")
    count_failed(claims)


def _record(run: Run, earlier: Sequence[Run], folder: Path, as_json: bool) -> None:
    """Appends a run to the earlier ones of a report folder, and prints which verdicts it changed.

    The page of the runs is written anew where the other pages were.
    """
    append_run(folder, run)
    if not run.unchanged:
        from reports.site.pages import write_history

        write_history(folder)
    for change in changes([*earlier[-1:], run]):
        print(change, file=sys.stderr)
    if as_json:
        print(run_line(run))


def _show(command: Sequence[str]) -> None:
    """Prints a command on stderr as it would be typed."""
    print("$", shlex.join(command), file=sys.stderr)


def _pair_numbers(criterion: Criterion, verdict: Verdict) -> PairNumbers:
    return PairNumbers(
        model=criterion.model,
        match=None if criterion.best is None else _name(criterion.best),
        cosine=criterion.cosine,
        same_index_reference=criterion.same_index_reference,
        same_index_match=criterion.same_index_match,
        p_value=verdict.p_value,
        holds=criterion.holds,
    )


def _claim_numbers(row: dict[str, Any]) -> ClaimNumbers:
    rounded = {name: rounded_or_none(row[name]) for name in ("value", "bound", "p_family")}
    return ClaimNumbers(**row | rounded)


def _name(head: Head) -> str:
    """A head as an option of a command names it, as in standard:L2H2."""
    return f"{head.model}:{head.index}"


def _times(began: datetime) -> dict[str, Any]:
    """When a run began, and how long it took until now, as its record has them."""
    seconds = (datetime.now(UTC) - began).total_seconds()
    time = began.isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"time": time, "seconds": round(seconds, 1)}
