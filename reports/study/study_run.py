"""A run of a study from the end of its ingest on: its numbers, or that nothing changed."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.study.basis import Basis, is_unchanged, page_hashes
from reports.study.runs import ClaimNumbers, PairNumbers, Run, append_run, changes, run_line
from sql.console.check_command import claim_line, count_failed
from sql.console.options import parameters_from

if TYPE_CHECKING:
    from reports.data.report import Claim, Head

# As `reports.data.queries` rounds what a page shows.
_DIGITS = 9


def carried_over(runs: Sequence[Run], basis: Basis, out: Path, began: datetime) -> Run | None:
    """The last run as one that found nothing changed; None where something did, or there is none.

    out: the report's folder. began: when this run did.
    """
    if not runs or not is_unchanged(runs[-1], basis, out):
        return None
    return replace(runs[-1], unchanged=True, **_times(began))


def print_unchanged(run: Run, runs: Sequence[Run], out: Path, as_json: bool) -> int:
    """Prints what a full run would print of its page and claims; returns its exit code."""
    made = next((earlier.time for earlier in reversed(runs) if not earlier.unchanged), runs[0].time)
    print(f"nothing changed since {made}", file=sys.stderr)
    page = str(out / run.page)
    print(json.dumps({"page": page}) if as_json else page)
    claims = [asdict(claim) for claim in run.claims]
    if not as_json:
        for claim in claims:
            print(claim_line(claim))
    return 1 if count_failed(claims) else 0


def measured(
    report: Mapping[str, Any],
    claims: Mapping[str, Any] | None = None,
    *,
    basis: Basis,
    began: datetime,
) -> Run:
    """The numbers of a run that wrote its pages.

    report, claims: the options of the commands that wrote them and that checked the claims, if
    there are any.
    """
    from reports.data.queries import compared_models, read_pair, read_reference
    from reports.site.pages import PAGE_NAME
    from sql.session import open_session

    with open_session(report["dataset"], parameters_from(report)) as session:
        manifest = session.dataset.manifest
        reference = read_reference(session).head
        others = compared_models(session, reference.model)
        pairs = [_pair_numbers(read_pair(session, reference, other).claim) for other in others]
    rows = []
    if claims:
        with open_session(claims["dataset"], parameters_from(claims)) as session:
            rows = session.rows("select * from claims order by claim")
    return Run(
        **vars(basis),
        **_times(began),
        page=PAGE_NAME,
        files=page_hashes(report["out"]),
        unchanged=False,
        models=tuple(model.name for model in manifest.models),
        n_prompts=sum(entry.rows for entry in manifest.tables["prompts"]),
        reference=_named(reference),
        pairs=tuple(pairs),
        claims=tuple(map(_claim_numbers, rows)),
    )


def record(run: Run, runs: Sequence[Run], out: Path, as_json: bool) -> None:
    """Appends a run to the earlier ones, and tells on stderr which verdicts it changed.

    The page of the runs is written anew where the others were.
    """
    append_run(out, run)
    if not run.unchanged:
        from reports.site.pages import write_history

        write_history(out)
    for change in changes([*runs[-1:], run]):
        print(change, file=sys.stderr)
    if as_json:
        print(run_line(run))


def _pair_numbers(claim: Claim) -> PairNumbers:
    return PairNumbers(
        model=claim.match.best.model,
        match=_named(claim.match.best),
        cosine=claim.match.cosine,
        same_index_reference=claim.same_index_reference,
        same_index_match=claim.same_index_match,
        p_value=round(claim.chance.p_value, _DIGITS),
        holds=claim.holds,
    )


def _claim_numbers(row: dict[str, Any]) -> ClaimNumbers:
    rounded = {name: round(row[name], _DIGITS) + 0.0 for name in ("value", "bound")}
    return ClaimNumbers(**row | rounded)


def _named(head: Head) -> str:
    """A head as an option of a command names it, as in standard:L2H2."""
    return f"{head.model}:{head.index}"


def _times(began: datetime) -> dict[str, Any]:
    """When a run began, and how long it took until now, as its record has them."""
    seconds = (datetime.now(UTC) - began).total_seconds()
    time = began.isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"time": time, "seconds": round(seconds, 1)}
