"""What heads do, as data: what ablating them changes, what models wrote, what layers predict."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from ingest.dataset.relations import ABLATION_KINDS
from reports.data import questions
from reports.data.interventions.estimates import Estimated, Pairs, read_estimates, read_pairs
from reports.data.interventions.texts import (
    Example,
    SeedChange,
    SeedCorrelations,
    changes_of,
    read_correlations,
    read_examples,
)
from reports.data.report import Head
from reports.data.rounding import rounded, rounded_or_none
from sql.session import Session

# The tables of which the page shows something; a dataset may lack each.
TABLES = (
    "ablation_effects",
    "attribution_effects",
    "pair_effects",
    "generations",
    "layer_readouts",
)
# Changes of the most probable token that the page lists for a head.
_N_TOKENS = 5


@dataclass(frozen=True)
class HeadEffect:
    """What ablating one head changes, on average over prompts.

    rank: 1 for the head of its model that costs most. loss_nats: mean loss, ablated less whole;
    low, high: its 95 % interval over prompts, None of a single one. kl_nats: mean divergence.
    """

    head: Head
    rank: int
    n_prompts: int
    loss_nats: float
    low: float | None
    high: float | None
    kl_nats: float


@dataclass(frozen=True)
class Ablated:
    """The ablated heads of one model by rank, of n_layers of n_heads that it has."""

    kind: str
    model: str
    n_layers: int
    n_heads: int
    heads: tuple[HeadEffect, ...]

    def effect_of(self, head: Head | None) -> HeadEffect | None:
        """That of one head; None where it is not ablated."""
        return next((effect for effect in self.heads if effect.head == head), None)

    def others_of(self, head: Head) -> list[HeadEffect]:
        """Those of all other heads."""
        return [effect for effect in self.heads if effect.head != head]

    def n_stronger(self, effect: HeadEffect) -> int:
        """How many other heads change the loss by more, whichever way."""
        others = self.others_of(effect.head)
        return sum(abs(other.loss_nats) > abs(effect.loss_nats) for other in others)

    def median_of_others(self, head: Head) -> float | None:
        """How much the median one of the other heads changes the loss, whichever way."""
        sizes = [abs(other.loss_nats) for other in self.others_of(head)]
        return rounded(statistics.median(sizes)) if sizes else None


@dataclass(frozen=True)
class ModelLoss:
    """How well a model predicts the prompts, whole: mean loss in nats a token.

    uniform_nats: that of a guess for which all tokens of its vocabulary are equally probable.
    """

    model: str
    loss_nats: float
    uniform_nats: float


@dataclass(frozen=True)
class TokenChange:
    """A most probable next token, before and after an ablation, and at how many positions."""

    before: str
    after: str
    n_positions: int


@dataclass(frozen=True)
class TopTokens:
    """Where ablating a head changes the most probable next token; the most frequent changes."""

    head: Head
    n_positions: int
    n_changed: int
    changes: tuple[TokenChange, ...]


@dataclass(frozen=True)
class Work:
    """Whether the match by attention of the reference head does the same work.

    match: None where it has none. correlation: of both heads' effects prompt by prompt, None where
    undefined. best: the head whose effects correlate most, with its correlation; is_best: whether
    the match is that head; p_value: of best_correlation, corrected for the number of heads, None
    where nothing was tested. n_beyond: heads of the model, of n_heads that are ablated, for which
    such a p is at most `level`; n_beyond_matched: of them those where it is the match by attention.
    mine, theirs: the ablated heads of both models.
    """

    head: Head
    other: str
    match: Head | None
    correlation: float | None
    best: Head | None
    best_correlation: float | None
    is_best: bool | None
    p_value: float | None
    level: float
    n_heads: int
    n_beyond: int
    n_beyond_matched: int
    mine: Ablated
    theirs: Ablated
    top_tokens: tuple[TopTokens, ...]

    @property
    def match_effect(self) -> HeadEffect | None:
        """What ablating the match changes; None where there is none, or it is not ablated."""
        return self.theirs.effect_of(self.match)


@dataclass(frozen=True)
class ReadoutPoint:
    """How probable a class of tokens is where steps begin, read out after one layer."""

    model: str
    layer: int
    probability: float


@dataclass(frozen=True)
class Readout:
    """A class of tokens, read out after every layer of every model, at n_positions each."""

    token_class: str
    n_positions: dict[str, int]
    points: tuple[ReadoutPoint, ...]


@dataclass(frozen=True)
class Effects:
    """All that the page of effects shows. absent: the tables of TABLES that the dataset lacks.

    ablated: a kind and model each, in the order of kinds and of ingest. losses: of the models that
    are ablated, in the order of ingest. works: one an other model,
    by the first kind.
    """

    reference: Head
    absent: tuple[str, ...]
    ablated: tuple[Ablated, ...]
    losses: tuple[ModelLoss, ...]
    works: tuple[Work, ...]
    estimated: tuple[Estimated, ...]
    pairs: tuple[Pairs, ...]
    correlations: tuple[SeedCorrelations, ...]
    examples: tuple[Example, ...]
    readouts: tuple[Readout, ...]

    @property
    def seed_changes(self) -> tuple[SeedChange, ...]:
        """Complexity and steps of each ablation beside those of its whole model."""
        return changes_of(self.correlations)

    @property
    def kind(self) -> str | None:
        """The kind of ablation that all but the grids are about."""
        return self.ablated[0].kind if self.ablated else None

    def work_in(self, other: str) -> Work | None:
        """What is known of the reference head's work in another model."""
        return next((work for work in self.works if work.other == other), None)

    def of_reference(self) -> Ablated | None:
        """The ablated heads of the reference head's model, by the first kind."""
        own = (found for found in self.ablated if found.model == self.reference.model)
        return next((found for found in own if found.kind == self.kind), None)


def read_effects(session: Session, reference: Head, others: list[str]) -> Effects | None:
    """What a dataset says of effects; None where it has none of the tables.

    others: the models that the reference head's is compared with.
    """
    manifest = session.dataset.manifest
    absent = tuple(name for name in TABLES if not manifest.files_of(name))
    if len(absent) == len(TABLES):
        return None
    ablated = () if "ablation_effects" in absent else tuple(_ablated(session))
    return Effects(
        reference=reference,
        absent=absent,
        ablated=ablated,
        losses=tuple(_losses(session)) if ablated else (),
        works=tuple(_works(session, reference, others, ablated)),
        estimated=() if "attribution_effects" in absent else tuple(read_estimates(session)),
        pairs=() if "pair_effects" in absent else tuple(read_pairs(session)),
        correlations=() if "generations" in absent else tuple(read_correlations(session)),
        examples=() if "generations" in absent else tuple(read_examples(session)),
        readouts=() if "layer_readouts" in absent else tuple(_readouts(session)),
    )


def _ablated(session: Session) -> Iterator[Ablated]:
    shapes = {row["model"]: row for row in session.rows("select * from models")}
    found: dict[tuple[str, str], list[HeadEffect]] = {}
    for row in session.rows("select * from ablation_ranking order by kind, model, rank"):
        effect = HeadEffect(
            head=Head(row["model"], row["layer"], row["head"]),
            rank=row["rank"],
            n_prompts=row["n_prompts"],
            loss_nats=rounded(row["mean_delta_loss_nats"]),
            low=rounded_or_none(row["low"]),
            high=rounded_or_none(row["high"]),
            kl_nats=rounded(row["mean_kl_nats"]),
        )
        found.setdefault((row["kind"], row["model"]), []).append(effect)
    names = [entry.name for entry in session.dataset.manifest.models]
    for kind, model in itertools.product(ABLATION_KINDS, names):
        if heads := found.get((kind, model)):
            shape = shapes[model]
            yield Ablated(kind, model, shape["n_layers"], shape["n_heads"], tuple(heads))


def _losses(session: Session) -> Iterator[ModelLoss]:
    found = {row["model"]: row for row in session.rows("select * from model_losses")}
    for entry in session.dataset.manifest.models:
        if row := found.get(entry.name):
            yield ModelLoss(entry.name, rounded(row["loss_nats"]), rounded(row["uniform_nats"]))


def _works(
    session: Session, reference: Head, others: list[str], ablated: tuple[Ablated, ...]
) -> Iterator[Work]:
    by_model = {found.model: found for found in ablated if found.kind == ablated[0].kind}
    mine = by_model.get(reference.model)
    if mine is None:
        return
    level = session.parameters.significance_level
    for other in others:
        place = {"kind": mine.kind, "model": reference.model, "other": other}
        found = session.rows(questions.WORK, vars(reference) | place)
        (counts,) = session.rows(questions.WORK_COUNTS, place | {"level": level})
        for row in found:
            match = _head_of(other, row["layer_b"], row["head_b"])
            shown = [reference, *([match] if match else [])]
            yield Work(
                head=reference,
                other=other,
                match=match,
                correlation=rounded_or_none(row["correlation"]),
                best=_head_of(other, row["best_layer_b"], row["best_head_b"]),
                best_correlation=rounded_or_none(row["best_correlation"]),
                is_best=row["is_best"],
                p_value=rounded_or_none(row["p_family"]),
                level=level,
                **counts,
                mine=mine,
                theirs=by_model[other],
                top_tokens=tuple(_top_tokens(session, head, mine.kind) for head in shown),
            )


def _head_of(model: str, layer: int | None, head: int | None) -> Head | None:
    return None if layer is None or head is None else Head(model, layer, head)


def _top_tokens(session: Session, head: Head, kind: str) -> TopTokens:
    changes = session.rows(questions.TOP_TOKENS, {**vars(head), "kind": kind})
    changed = [row for row in changes if row["top_token_before"] != row["top_token_after"]]
    return TopTokens(
        head=head,
        n_positions=sum(row["n_positions"] for row in changes),
        n_changed=sum(row["n_positions"] for row in changed),
        changes=tuple(
            TokenChange(row["top_token_before"], row["top_token_after"], row["n_positions"])
            for row in changed[:_N_TOKENS]
        ),
    )


def _readouts(session: Session) -> Iterator[Readout]:
    order = {entry.name: number for number, entry in enumerate(session.dataset.manifest.models)}
    rows = session.rows("select * from class_probability_by_layer order by token_class, layer")
    for name, group in itertools.groupby(rows, lambda row: row["token_class"]):
        found = sorted(group, key=lambda row: (order[row["model"]], row["layer"]))
        yield Readout(
            token_class=name,
            n_positions={row["model"]: row["n_positions"] for row in found},
            points=tuple(
                ReadoutPoint(row["model"], row["layer"], rounded(row["mean_probability"]))
                for row in found
            ),
        )
