"""Estimated effects beside exact ones, and heads that were ablated together, as data."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from ingest.dataset.relations import ABLATION_KINDS
from reports.data.report import Head
from reports.data.rounding import rounded, rounded_or_none
from sql.session import Session

# Pairs that the page lists for a model and kind.
_N_PAIRS = 10


@dataclass(frozen=True)
class HeadEstimate:
    """What ablating a head is estimated to change in the loss, and what it changes.

    rank: 1 for the head that is estimated to cost most. low, high: 95 % interval over prompts, None
    of a single one. exact_nats: None where the head was not ablated.
    """

    head: Head
    rank: int
    estimated_nats: float
    low: float | None
    high: float | None
    exact_nats: float | None


@dataclass(frozen=True)
class Estimated:
    """The estimated heads of a model by rank, and how far they agree with the ablated ones.

    n_both: heads of which both are known; correlation, rank_correlation: over these, None where
    undefined; n_same_sign: of these.
    """

    kind: str
    model: str
    heads: tuple[HeadEstimate, ...]
    n_both: int
    correlation: float | None
    rank_correlation: float | None
    n_same_sign: int


@dataclass(frozen=True)
class PairEffect:
    """What ablating two heads together changes: the joint change less those of both is interaction.

    low, high: its 95 % interval over prompts, None of a single one.
    """

    kind: str
    first: Head
    second: Head
    joint_nats: float
    sum_nats: float
    interaction_nats: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Pairs:
    """The pairs of a model that interact most, whichever way, of n_pairs that were ablated."""

    kind: str
    model: str
    n_pairs: int
    strongest: tuple[PairEffect, ...]


def read_estimates(session: Session) -> Iterator[Estimated]:
    """What attribution patching estimated, by kind and model."""
    columns = "model, kind, layer, head, mean_delta_loss_nats"
    exact, agreement = {}, {}
    if session.dataset.manifest.files_of("ablation_effects"):
        exact = {
            (row["kind"], Head(row["model"], row["layer"], row["head"])): row[
                "mean_delta_loss_nats"
            ]
            for row in session.rows(f"select {columns} from ablation_ranking")
        }
        agreement = {
            (row["kind"], row["model"]): row
            for row in session.rows("select * from attribution_agreement")
        }
    rows = session.rows("select * from attribution_ranking order by kind, model, rank")
    found = {
        place: list(group)
        for place, group in itertools.groupby(rows, lambda row: (row["kind"], row["model"]))
    }
    names = [entry.name for entry in session.dataset.manifest.models]
    for kind, model in itertools.product(ABLATION_KINDS, names):
        if (kind, model) not in found:
            continue
        heads = []
        for row in found[kind, model]:
            head = Head(model, row["layer"], row["head"])
            heads.append(
                HeadEstimate(
                    head=head,
                    rank=row["rank"],
                    estimated_nats=rounded(row["mean_estimated_delta_loss_nats"]),
                    low=rounded_or_none(row["low"]),
                    high=rounded_or_none(row["high"]),
                    exact_nats=rounded_or_none(exact.get((kind, head))),
                )
            )
        agreed = agreement.get((kind, model), {})
        yield Estimated(
            kind=kind,
            model=model,
            heads=tuple(heads),
            n_both=agreed.get("n_heads", 0),
            correlation=rounded_or_none(agreed.get("correlation")),
            rank_correlation=rounded_or_none(agreed.get("rank_correlation")),
            n_same_sign=agreed.get("n_same_sign", 0),
        )


def read_pairs(session: Session) -> Iterator[Pairs]:
    """The heads that were ablated together, by kind and model."""
    rows = session.rows(
        "select * from pair_interactions order by kind, model, "
        "round(abs(interaction_nats), 9) desc, layer_a, head_a, layer_b, head_b"
    )
    for (kind, model), group in itertools.groupby(rows, lambda row: (row["kind"], row["model"])):
        found = list(group)
        yield Pairs(
            kind=kind,
            model=model,
            n_pairs=len(found),
            strongest=tuple(
                PairEffect(
                    kind=kind,
                    first=Head(model, row["layer_a"], row["head_a"]),
                    second=Head(model, row["layer_b"], row["head_b"]),
                    joint_nats=rounded(row["mean_joint_delta_loss_nats"]),
                    sum_nats=rounded(row["mean_sum_of_singles_nats"]),
                    interaction_nats=rounded(row["interaction_nats"]),
                    low=rounded_or_none(row["low"]),
                    high=rounded_or_none(row["high"]),
                )
                for row in found[:_N_PAIRS]
            ),
        )
