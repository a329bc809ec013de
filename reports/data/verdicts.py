"""What a report may claim: the tests of content matches, and the sentences made of them."""

from __future__ import annotations

from reports.data.report import Head, Verdict
from reports.data.rounding import rounded_or_none
from sql.session import Session


def read_verdict(session: Session, reference: Head, other: str) -> Verdict:
    """What the tests say of the reference head's model and another."""
    level = session.parameters.significance_level
    pair = {"model": reference.model, "other": other}
    (counts,) = session.rows(
        "select count(p_family) as n_tested, min(p_family) as smallest_p, "
        "count(*) filter (where p_family <= $level) as n_beyond "
        "from content_matches where model_a = $model and model_b = $other",
        pair | {"level": level},
    )
    (heads,) = session.rows(
        "select count(*) as n from heads where model = $model", {"model": reference.model}
    )
    own = session.rows(
        "select layer_b, head_b, p_family from content_matches where model_a = $model "
        "and model_b = $other and layer_a = $layer and head_a = $head and p_family is not null",
        vars(reference) | {"other": other},
    )
    same_index = session.rows(
        "select p_value, n_same_index from same_index_tests "
        "where model_a = $model and model_b = $other and layer is null",
        pair,
    )
    return Verdict(
        model=reference.model,
        other=other,
        n_heads=heads["n"],
        n_tested=counts["n_tested"],
        n_beyond=counts["n_beyond"],
        smallest_p=rounded_or_none(counts["smallest_p"]),
        match=Head(other, own[0]["layer_b"], own[0]["head_b"]) if own else None,
        p_value=rounded_or_none(own[0]["p_family"]) if own else None,
        same_index_p=rounded_or_none(same_index[0]["p_value"]) if same_index else None,
        n_same_index=same_index[0]["n_same_index"] if same_index else None,
        level=level,
    )


def match_sentence(reference: Head, verdict: Verdict) -> str:
    """Whether the reference head has a counterpart beyond chance, without a full stop."""
    if verdict.p_value is None:
        return (
            f"Whether {verdict.other} has a counterpart of {reference} is not tested: "
            f"{_untested(verdict)}"
        )
    if verdict.p_value <= verdict.level:
        return (
            f"{reference} has a counterpart beyond chance in {verdict.match} "
            f"({p_text(verdict.p_value)})"
        )
    p_value = p_text(verdict.p_value)
    return f"No head of {verdict.other} matches {reference} beyond chance ({p_value})"


def count_sentence(verdict: Verdict) -> str:
    """How many heads have a counterpart beyond chance, without a full stop."""
    if not verdict.n_tested:
        return (
            f"Whether heads of {verdict.model} have counterparts in {verdict.other} is not tested: "
            f"{_untested(verdict)}"
        )
    how_many = str(verdict.n_beyond) if verdict.n_beyond else "None"
    verb = "has a counterpart" if verdict.n_beyond in (0, 1) else "have a counterpart"
    return (
        f"{how_many} of {verdict.n_heads} heads of {verdict.model} {verb} in {verdict.other} "
        f"beyond chance (family-wise {verdict.level:.0%})"
    )


def same_index_sentence(verdict: Verdict) -> str:
    """Whether heads of the same index are alike, without a full stop."""
    if verdict.same_index_p is None:
        return "Not asked: the two models differ in layers, heads or tokens"
    found = (
        f"{verdict.n_same_index} of {verdict.n_heads} heads have the most alike head of their "
        f"layer at the same index ({p_text(verdict.same_index_p)})"
    )
    if verdict.same_index_p <= verdict.level:
        return f"More often than chance: {found}, as where models start from the same weights"
    return f"No more often than by chance: {found}"


def p_text(value: float) -> str:
    """A p value as text: enough digits to see on which side of 0.05 it lies.

    >>> p_text(0.18), p_text(0.051), p_text(0.00005)
    ('p = 0.18', 'p = 0.051', 'p = 5e-05')
    """
    if value < 0.001:
        return f"p = {value:.1g}"
    return f"p = {value:.3f}" if value < 0.1 else f"p = {value:.2f}"


def _untested(verdict: Verdict) -> str:
    if verdict.n_tested:
        return "it differs in nothing from the other heads of its layer"
    return "the two models cut the prompts into different tokens, or all their heads are alike"
