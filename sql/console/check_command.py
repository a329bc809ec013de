"""The command `headswap check`: whether rows keep what the contract promises, and claims hold."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ingest.kernel.command_line import json_option
from sql.console.options import dataset_argument, engine_options, statistics_options

if TYPE_CHECKING:
    from sql.engines.engine import EngineChoice
    from sql.parameters import Parameters
    from sql.session import Session


@click.command
@dataset_argument
@engine_options
@statistics_options
@click.option("--claims-only", is_flag=True, help="do not read the rows again, only the claims")
@json_option("the checks")
def command(
    dataset: Path, engine: EngineChoice, parameters: Parameters, claims_only: bool, as_json: bool
) -> int:
    """Prints one line a model and a claim; returns 1 where rows are not sound or a claim fails."""
    from sql.access.interrupts import interruptible
    from sql.session import open_session

    with (
        open_session(dataset, parameters, engine=engine) as session,
        interruptible(session.connection),
    ):
        checks = [] if claims_only else read_row_checks(session)
        claims = read_claims(session)
    return print_checks(dataset, checks, claims, as_json)


def read_row_checks(session: Session) -> list[dict[str, Any]]:
    """The view `row_checks`: one row a model. Reads all attention rows, once a session."""
    return session.rows("select * from row_checks order by model")


def read_claims(session: Session) -> list[dict[str, Any]]:
    """The view `claims`: one row a claim that the session was opened with."""
    if not session.parameters.claims:
        return []
    return session.rows("select * from claims order by claim")


def print_checks(
    dataset: Path,
    checks: Sequence[Mapping[str, Any]],
    claims: Sequence[Mapping[str, Any]],
    as_json: bool,
) -> int:
    """Prints rows of `row_checks` and `claims`; returns 1 where one is not as it should be."""
    if as_json:
        print(json.dumps({"dataset": str(dataset), "checks": checks, "claims": claims}))
    else:
        for line in (*map(_check_line, checks), *map(claim_line, claims)):
            print(line)
    unsound = [check["model"] for check in checks if not check["is_sound"]]
    if unsound:
        print(f"headswap: the rows of {', '.join(unsound)} are not sound", file=sys.stderr)
        print("Hint: `select * from row_checks` tells more; ingest again", file=sys.stderr)
    return 1 if count_failed(claims) or unsound else 0


def count_failed(claims: Sequence[Mapping[str, Any]]) -> int:
    """How many of the view's rows do not hold; where there are some, says so on stderr."""
    n_failed = sum(not claim["holds"] for claim in claims)
    if n_failed:
        print(f"headswap: {n_failed} of {len(claims)} claims do not hold", file=sys.stderr)
    return n_failed


def _check_line(check: Mapping[str, Any]) -> str:
    if check["largest_error"] is None:
        return f"{check['model']}: NOT SOUND: no rows"
    return (
        f"{check['model']}: {'sound' if check['is_sound'] else 'NOT SOUND'}: "
        f"{check['n_rows']:,} rows, {check['n_missing']:,} queries missing, "
        f"{check['n_incomplete']:,} incomplete, weights sum to 1 within "
        f"{check['largest_error']:.1e} (at most {check['tolerance']:.0e})"
    )


def claim_line(claim: Mapping[str, Any]) -> str:
    """What is printed of a claim, a row of the view."""
    holds = "holds" if claim["holds"] else "DOES NOT HOLD"
    if claim["similarity"] is None:
        return f"{claim['claim']}: {holds}: undefined, nothing can be tested or compared"
    line = f"{claim['claim']}: {holds}: {claim['similarity']} cosine {_number(claim['value'])}"
    if claim["test"] == "beyond chance":
        p_value = claim["p_family"]
        tested = "not tested" if p_value is None else f"p = {p_value:.3g} of its best match"
        return f"{line}, {tested}, chance gives {_number(claim['bound'])}"
    return f"{line}, compared with {_number(claim['bound'])}"


def _number(value: float | None) -> str:
    return "– (undefined)" if value is None else f"{value:.4f}"
