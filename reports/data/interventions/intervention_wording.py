"""The sentences about estimates, heads ablated together and generated texts."""

from __future__ import annotations

from reports.data.interventions.estimates import Estimated, PairEffect
from reports.data.interventions.texts import SeedChange
from reports.data.verdicts import p_text


def agreement_sentence(estimated: Estimated) -> str:
    """How far estimates agree with what ablating changes, without a full stop."""
    if not estimated.n_both:
        return f"{estimated.model}: no estimated head was ablated as well"
    if estimated.correlation is None:
        return f"{estimated.model}: how estimates go with exact effects is undefined"
    return (
        f"{estimated.model}: estimates and exact effects of {estimated.n_both} heads correlate at "
        f"{_number(estimated.correlation)}"
    )


def agreement_details(estimated: Estimated) -> str:
    """Ranks and signs, without a full stop."""
    ranks = estimated.rank_correlation
    return (
        f"Their ranks correlate at {'– (undefined)' if ranks is None else _number(ranks)}; "
        f"{estimated.n_same_sign} of {estimated.n_both} have the same sign"
    )


def seeds_title(change: SeedChange) -> str:
    """What an ablation does to the correlation of complexity and steps."""
    found, n_seeds = change.ablated, len(change.seeds)
    seeds = "1 seed" if n_seeds == 1 else f"{n_seeds} seeds"
    text = f"{found.model} without {found.ablation}: median change "
    text += f"{_signed(found.median_change or 0.0)} over {seeds}"
    if found.p_sign is None or found.smallest_p is None:
        return f"{text}; none changes"
    return f"{text} ({p_text(found.p_sign)}, smallest possible {found.smallest_p:.2g})"


def whole_sentence(change: SeedChange) -> str:
    """How complexity and steps go together in the whole model, without a full stop."""
    median = change.whole.median
    assert median is not None, "a change has seeds that are defined"
    return (
        f"Before: complexity and the number of steps of {change.whole.model} correlate at "
        f"{_number(median)} (median of {len(change.whole.by_seed)} seeds)"
    )


def interaction_text(pair: PairEffect) -> str:
    """Which way two heads interact, by the interval of their interaction."""
    if pair.low is None or pair.high is None or pair.low <= 0 <= pair.high:
        return "not told from 0"
    return "make up for each other" if pair.interaction_nats > 0 else "share one effect"


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _signed(value: float) -> str:
    return f"{value:+.2g}".replace("-", "−")
