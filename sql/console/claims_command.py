"""The command `headswap claims`: whether claims about heads hold in a dataset."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ingest.kernel.command_line import HintedCommand, json_option
from ingest.kernel.errors import InputError
from sql.console.options import engine_options, place_argument, statistics_options

if TYPE_CHECKING:
    from sql.engines.engine import EngineChoice
    from sql.parameters import Parameters
    from sql.session import Session


def _claim_meant(words: str) -> str:
    claim = words if "~" in words else "standard:L3H0 ~ adhd:L3H5 best match"
    return f'{"did you mean" if claim == words else "write a claim as in"} --claim "{claim}"'


@click.command(cls=HintedCommand, meant=_claim_meant)
@place_argument
@engine_options
@statistics_options
@json_option("the claims")
def command(
    dataset: Path | str, engine: EngineChoice, parameters: Parameters, as_json: bool
) -> int:
    """Prints one line a claim; returns 1 where one does not hold.

    Raises: InputError where none is given, or one without its option.
    """
    from sql.access.interrupts import interruptible
    from sql.session import open_session

    if not parameters.claims:
        raise InputError(
            "no claim to look at",
            hint='give one with --claim "standard:L3H0 ~ adhd:L3H5 best match"; '
            "`headswap verify` is about the data",
        )
    with (
        open_session(dataset, parameters, engine=engine) as session,
        interruptible(session.connection),
    ):
        claims, unseen = read_claims(session), not_looked_at(session)
    return print_claims(dataset, claims, unseen, as_json)


def read_claims(session: Session) -> list[dict[str, Any]]:
    """The view `claims`: one row a claim that the session was opened with."""
    if not session.parameters.claims:
        return []
    return session.rows("select * from claims order by claim")


def not_looked_at(session: Session) -> list[str]:
    """What a verdict on claims says nothing about, a sentence each."""
    unseen = ["whether the rows are sound: `headswap verify` reads them"]
    (row,) = session.rows(
        "select (select count(*) from prompts) as n_all, "
        "(select count(*) from analysed_prompts) as n_used"
    )
    if n_left := row["n_all"] - row["n_used"]:
        variant = session.parameters.variant
        unseen.append(f"{n_left:,} of {row['n_all']:,} prompts, not of the variant {variant!r}")
    return unseen


def print_claims(
    dataset: Path | str,
    claims: Sequence[Mapping[str, Any]],
    unseen: Sequence[str] = (),
    as_json: bool = False,
) -> int:
    """Prints rows of the view `claims` and what they leave open; returns 1 where one fails."""
    if as_json:
        found = {"dataset": str(dataset), "claims": claims, "not_looked_at": list(unseen)}
        print(json.dumps(found))
    else:
        for line in (*map(claim_line, claims), *(f"not looked at: {what}" for what in unseen)):
            print(line)
    return 1 if count_failed(claims) else 0


def count_failed(claims: Sequence[Mapping[str, Any]]) -> int:
    """How many of the view's rows do not hold; where there are some, says so on stderr."""
    n_failed = sum(not claim["holds"] for claim in claims)
    if n_failed:
        print(f"headswap: {n_failed} of {len(claims)} claims do not hold", file=sys.stderr)
    return n_failed


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
