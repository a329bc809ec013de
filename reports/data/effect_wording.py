"""The sentences about effects: what ablating a head changes, and whether a match does the same."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.dataset.relations import STORED_TABLES
from reports.data.effects import Ablated, Effects, HeadEffect, ModelLoss, Readout, Work
from reports.data.verdicts import p_text

# What stands for what an ablated head mixes.
KINDS = {
    "zero": "nothing",
    "mean": "its mean over all positions of all prompts",
    "resample": "what it mixes in another prompt",
}


def command_of(table: str) -> str:
    """The command that makes a table, with what it must be told.

    >>> command_of("ablation_effects"), command_of("generations")
    ('headswap ablate DATASET', 'headswap generate DATASET --prompts FILE')
    """
    told = {"generations": " --prompts FILE", "layer_readouts": ' --class "NAME=PHRASE;PHRASE"'}
    return f"headswap {STORED_TABLES[table].made_by} DATASET{told.get(table, '')}"


def signed(value: float) -> str:
    """A change with its sign, to two significant digits.

    >>> signed(0.0312), signed(-0.2), signed(0.0)
    ('+0.031', '−0.2', '+0')
    """
    return f"{value:+.2g}".replace("-", "−", 1)


def title(effects: Effects) -> str:
    """What ablating the reference head changes, beside all other heads of its model."""
    own = effects.of_reference()
    if own is not None and (effect := own.effect_of(effects.reference)):
        others = own.others_of(effect.head)
        text = f"Ablating {effect.head} changes the loss by {_change(effect)}"
        return f"{text}; {own.n_stronger(effect)} of {len(others)} other heads change it more"
    if effects.ablated:
        found = own or effects.ablated[0]
        largest = max(found.heads, key=lambda effect: (abs(effect.loss_nats), -effect.rank))
        if len(found.heads) == 1:
            return f"Ablating {largest.head} changes the loss by {_change(largest)}"
        text = f"Of {len(found.heads)} ablated heads of {found.model}, {largest.head.index}"
        return f"{text} changes the loss most: by {_change(largest)}"
    return "What the models write, and what their layers predict"


def losses_sentence(losses: Sequence[ModelLoss]) -> str:
    """How well the models predict the prompts, without a full stop.

    >>> print(losses_sentence([ModelLoss("a", 1.73, 6.644), ModelLoss("b", 4.771, 6.644)]))
    ... # doctest: +NORMALIZE_WHITESPACE
    Mean loss on these prompts, in nats a token: a 1.73, b 4.77; by guessing 6.64
    (all tokens equally probable)
    >>> print(losses_sentence([ModelLoss("a", 1.73, 6.644), ModelLoss("b", 3.2, 10.825)]))
    ... # doctest: +NORMALIZE_WHITESPACE
    Mean loss on these prompts, in nats a token: a 1.73, by guessing 6.64; b 3.20, by guessing
    10.82 (all tokens equally probable)
    """
    guesses = [f"by guessing {loss.uniform_nats:.2f}" for loss in losses]
    own = [f"{loss.model} {loss.loss_nats:.2f}" for loss in losses]
    if len(set(guesses)) == 1:
        told = f"{', '.join(own)}; {guesses[0]}"
    else:
        told = "; ".join(f"{loss}, {guess}" for loss, guess in zip(own, guesses, strict=True))
    return f"Mean loss on these prompts, in nats a token: {told} (all tokens equally probable)"


def grid_title(ablated: Ablated) -> str:
    """What the grid of a model's heads shows."""
    costly, largest = ablated.heads[0], max(abs(effect.loss_nats) for effect in ablated.heads)
    if largest == 0:
        return f"{ablated.model}: no head changes the loss"
    return f"{ablated.model}: {costly.head.index} costs most, {signed(costly.loss_nats)} nats"


def work_sentence(work: Work) -> str:
    """Whether the match by attention does the same work, without a full stop."""
    if work.p_value is None or work.best_correlation is None:
        return (
            f"Whether a head of {work.other} does the work of {work.head} is not tested: the "
            "effects of too few heads differ between prompts"
        )
    p_value = p_text(work.p_value)
    if work.p_value > work.level:
        return f"No head of {work.other} does the work of {work.head} beyond chance ({p_value})"
    found = f"correlation {_correlation(work.best_correlation)}, {p_value}"
    if work.is_best:
        return f"{work.match}, its match by attention, does the work of {work.head} ({found})"
    return f"{work.best}, not its match by attention, does the work of {work.head} ({found})"


def match_sentence(work: Work) -> str | None:
    """How the effects of the match go with those of the reference head, without a full stop."""
    if work.match is None:
        return f"Nothing in {work.other} matches {work.head} by attention"
    if work.correlation is None:
        return f"How the effects of {work.match}, its match by attention, go with them is undefined"
    return (
        f"Prompt by prompt, the effects of {work.match}, its match by attention, correlate with "
        f"those of {work.head} at {_correlation(work.correlation)}"
    )


def count_sentence(work: Work) -> str:
    """How many heads have a head with their effects in the other model, without a full stop."""
    if not work.n_beyond:
        return (
            f"None of {work.n_heads} ablated heads of {work.head.model} has a head of the same "
            f"work in {work.other} beyond chance (family-wise {work.level:.0%})"
        )
    return (
        f"Of {work.n_heads} ablated heads of {work.head.model}, {work.n_beyond} have a head of the "
        f"same work in {work.other} beyond chance (family-wise {work.level:.0%}); for "
        f"{work.n_beyond_matched} of them it is the match by attention"
    )


def head_sentences(effects: Effects | None) -> dict[str, list[str]]:
    """What ablating each head changes, by MODEL:HEAD, a sentence a kind of ablation."""
    found: dict[str, list[str]] = {}
    for ablated in effects.ablated if effects else ():
        for effect in ablated.heads:
            place = f"{effect.head.model}:{effect.head.index}"
            found.setdefault(place, []).append(
                f"Ablated ({ablated.kind}), the loss changes by {_change(effect)}: rank "
                f"{effect.rank} of {len(ablated.heads)}, the one that costs most first."
            )
    return found


def effect_sentence(work: Work) -> str | None:
    """What ablating the match changes beside all other heads of its model; None without it."""
    effect = work.match_effect
    if effect is None:
        return None
    text = f"Ablating {effect.head} changes the loss by {_change(effect)}"
    median = work.theirs.median_of_others(effect.head)
    if median is None:
        return f"{text}; no other head of {work.other} is ablated"
    n_others = len(work.theirs.others_of(effect.head))
    return (
        f"{text}; {work.theirs.n_stronger(effect)} of {n_others} other heads of {work.other} "
        f"change it more (the median one changes it by {median:.2g} nats)"
    )


def readout_title(readout: Readout) -> str:
    """After which layer of which model a class of tokens is most probable."""
    top = max(readout.points, key=lambda point: point.probability)
    return (
        f"{readout.token_class}: at most {top.probability:.2g}, in {top.model} after layer "
        f"{top.layer}"
    )


def _correlation(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _change(effect: HeadEffect) -> str:
    text = f"{signed(effect.loss_nats)} nats"
    if effect.low is None or effect.high is None:
        return text
    return f"{text} (95 % interval {signed(effect.low)} to {signed(effect.high)})"
