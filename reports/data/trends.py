"""How the scores of heads change over the checkpoints of a run of training."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from reports.data import questions
from reports.data.report import Head
from reports.data.rounding import rounded, rounded_or_none
from sql.session import Session

# What a page shows of each run; a figure may be of any score.
PAGE_SCORES = ("induction", "previous_token", "duplicate_token", "first_token")
# Heads that a chart shows: those with the highest values at the last checkpoint.
N_HEADS = 6


@dataclass(frozen=True)
class TrendPoint:
    """A head's score at one checkpoint, with its 95 % interval; None for one prompt."""

    model: str
    step: int
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class HeadTrend:
    """A head at all checkpoints, by step. head: of the last checkpoint's model.

    emergence_step: as in the view score_trends, None where the score did not change.
    """

    head: Head
    points: tuple[TrendPoint, ...]
    emergence_step: int | None


@dataclass(frozen=True)
class Trend:
    """A score of a run's heads, the highest at the last checkpoint first.

    n_changed: heads of all n_heads whose first and last intervals are apart; None for one prompt.
    """

    run: str
    score: str
    heads: tuple[HeadTrend, ...]
    n_heads: int
    n_changed: int | None

    @property
    def title(self) -> str:
        """What the highest head did, as a description."""
        head = self.heads[0]
        first, last = head.points[0], head.points[-1]
        text = f"{self.score}: {head.head.index} goes from {first.value:.2f} to {last.value:.2f}"
        if head.emergence_step is None:
            return text
        return f"{text}, half of it by step {head.emergence_step:,}"


def runs(session: Session) -> list[str]:
    """The runs of which there are two checkpoints or more, that with the most first."""
    found = session.rows(
        "with counted as ("
        "select run, count(distinct step) as n_steps from checkpoints group by run) "
        "select run from counted where n_steps > 1 order by n_steps desc, run"
    )
    return [row["run"] for row in found]


def read_trends(session: Session) -> tuple[Trend, ...]:
    """The trends that a page shows: of every run, of the scores that are defined."""
    found = (read_trend(session, run, score) for run in runs(session) for score in PAGE_SCORES)
    return tuple(trend for trend in found if trend is not None)


def read_trend(session: Session, run: str, score: str) -> Trend | None:
    """One score of a run's heads; None where it is undefined on these prompts."""
    rows = session.rows(questions.TREND, {"run": run, "score": score})
    if not rows:
        return None
    heads = tuple(_heads(rows))
    places = {(row["layer"], row["head"]): row["is_changed"] for row in rows}
    changed = list(places.values())
    return Trend(
        run=run,
        score=score,
        heads=heads[:N_HEADS],
        n_heads=len(heads),
        n_changed=None if None in changed else sum(changed),
    )


def _heads(rows: list[dict[str, Any]]) -> Iterator[HeadTrend]:
    """Rows in order of heads, then of steps, as one trend a head."""
    for (layer, head), group in itertools.groupby(rows, lambda row: (row["layer"], row["head"])):
        # Where two models are the same checkpoint, the first by name.
        own = {row["step"]: row for row in reversed(list(group))}
        points = tuple(
            TrendPoint(
                model=row["model"],
                step=step,
                value=rounded(row["value"]),
                low=rounded_or_none(row["low"]),
                high=rounded_or_none(row["high"]),
            )
            for step, row in sorted(own.items())
        )
        yield HeadTrend(
            Head(points[-1].model, layer, head), points, own[points[-1].step]["emergence_step"]
        )
