"""Generated texts as data: complexity and steps seed by seed, and some of the texts themselves."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ingest.kernel.text import printable
from reports.data import questions
from reports.data.rounding import rounded, rounded_or_none
from sql.session import Session

WHOLE = "none"


@dataclass(frozen=True)
class SeedCorrelations:
    """Spearman's correlation of complexity and steps, seed by seed, of one model and ablation.

    by_seed: where it is defined, of n_seeds. The rest compares with the whole model over seeds, and
    is None for the whole model, and where it is undefined for all of them.
    """

    model: str
    prompt_set: str
    sampling: str
    ablation: str
    kind: str
    n_seeds: int
    by_seed: dict[int, float]
    median: float | None
    median_change: float | None
    p_sign: float | None
    smallest_p: float | None

    @property
    def of_texts(self) -> tuple[str, str, str]:
        """What it shares with the whole model that it is compared with."""
        return self.model, self.prompt_set, self.sampling


@dataclass(frozen=True)
class SeedChange:
    """A model whole and with heads ablated, on the same texts, seed by seed."""

    whole: SeedCorrelations
    ablated: SeedCorrelations

    @property
    def seeds(self) -> list[int]:
        """The seeds for which both correlations are defined."""
        return sorted(self.whole.by_seed.keys() & self.ablated.by_seed.keys())


@dataclass(frozen=True)
class Example:
    """What a model wrote for one prompt with one seed, whole and with heads ablated.

    before, after: the steps of each, or of a plain text its one text, control characters escaped.
    """

    model: str
    ablation: str
    kind: str
    prompt: str
    complexity: int | None
    seed: int
    before: tuple[str, ...]
    after: tuple[str, ...]


def read_correlations(session: Session) -> Iterator[SeedCorrelations]:
    """Each model whole, then each of its ablations."""
    keys = ("model", "prompt_set", "sampling", "ablation", "kind")
    changes = {
        tuple(row[key] for key in keys): row for row in session.rows(questions.CORRELATION_CHANGES)
    }
    rows = session.rows(questions.CORRELATIONS)
    for place, group in itertools.groupby(rows, lambda row: tuple(row[key] for key in keys)):
        values = {row["seed"]: row["spearman"] for row in group}
        defined = {seed: rounded(value) for seed, value in values.items() if value is not None}
        change: dict[str, Any] = changes.get(place, {})
        model, prompt_set, sampling, ablation, kind = place
        yield SeedCorrelations(
            model=model,
            prompt_set=prompt_set,
            sampling=sampling,
            ablation=ablation,
            kind=kind,
            n_seeds=len(values),
            by_seed=defined,
            median=rounded(statistics.median(defined.values())) if defined else None,
            median_change=rounded_or_none(change.get("median_change")),
            p_sign=rounded_or_none(change.get("p_sign")),
            smallest_p=rounded_or_none(change.get("smallest_p")),
        )


def changes_of(correlations: tuple[SeedCorrelations, ...]) -> tuple[SeedChange, ...]:
    """Each ablation beside its whole model, where a seed is defined for both."""
    whole = {found.of_texts: found for found in correlations if found.ablation == WHOLE}
    changes = [
        SeedChange(whole[found.of_texts], found)
        for found in correlations
        if found.ablation != WHOLE and found.of_texts in whole
    ]
    return tuple(change for change in changes if change.seeds)


def read_examples(session: Session) -> Iterator[Example]:
    """Of each model and ablation the texts of its most complex prompt, by the first seed."""
    for row in session.rows(questions.EXAMPLES):
        texts = {}
        for name in ("before", "after"):
            steps, text = row.pop(f"steps_{name}"), row.pop(f"text_{name}")
            texts[name] = tuple(map(printable, [text] if steps is None else steps))
        yield Example(**row | texts | {"prompt": printable(row["prompt"])})
