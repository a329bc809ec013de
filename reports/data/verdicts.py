"""What a report may claim: the tests of content matches, and the sentences made of them."""

from __future__ import annotations

from decimal import Decimal

from reports.data import questions
from reports.data.report import Groups, Head, ModelPair, Verdict
from reports.data.rounding import rounded, rounded_or_none
from sql.parameters import SIMILARITIES
from sql.session import Session


def read_verdict(session: Session, reference: Head, other: str) -> Verdict:
    """What the tests say of the reference head's model and another."""
    level = session.parameters.significance_level
    pair = {"model": reference.model, "other": other}
    (counts,) = session.rows(
        "select min(similarity) as similarity, count(*) as n_heads, "
        "count(p_family) as n_tested, min(p_family) as smallest_p, "
        "count(*) filter (where is_beyond_chance) as n_beyond "
        "from verdicts where model_a = $model and model_b = $other",
        pair,
    )
    own = session.rows(questions.VERDICT, vars(reference) | {"other": other})
    same_index = session.rows(
        "select p_value, n_same_index from same_index_tests "
        "where model_a = $model and model_b = $other and layer is null",
        pair,
    )
    return Verdict(
        model=reference.model,
        other=other,
        similarity=counts["similarity"],
        n_heads=counts["n_heads"],
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
        return "Not asked: the two models differ in layers or heads, or nothing could be tested"
    p = p_text(verdict.same_index_p)
    # The test is of how alike they are; how many are the most alike only illustrates it.
    count = f"{verdict.n_same_index} of {verdict.n_heads} are the most alike of their layer"
    if verdict.same_index_p <= verdict.level:
        return (
            f"Heads of the same index are more alike than by chance ({p}), as where models start "
            f"from the same weights; {count}"
        )
    return f"Heads of the same index are no more alike than by chance ({p}); {count}"


def p_text(value: float) -> str:
    """A p value as text: enough digits to see on which side of 0.05 it lies.

    >>> p_text(0.18), p_text(0.051), p_text(0.00005)
    ('p = 0.18', 'p = 0.051', 'p = 0.00005')
    """
    if value < 0.001:
        return f"p = {Decimal(f'{value:.1g}'):f}"
    return f"p = {value:.3f}" if value < 0.1 else f"p = {value:.2f}"


def _untested(verdict: Verdict) -> str:
    if verdict.n_tested:
        return "it differs in nothing from the other heads of its layer"
    return (
        "the two models cut the prompts into different tokens and no token is structural, or all "
        "their heads are alike"
    )


def read_groups(session: Session) -> Groups | None:
    """The comparison of the stated groups, by the first similarity that compares all their models.

    Returns: None where no groups were stated, or their models cannot all be compared.
    """
    rows = session.rows("select * from group_comparison where measure = 'best match'")
    tests = {row["similarity"]: row for row in rows}
    similarity = next((name for name in SIMILARITIES if name in tests), None)
    if similarity is None:
        return None
    test = tests[similarity]
    same_index = session.rows(
        "select p_value from group_comparison where similarity = $name and measure = 'same index'",
        {"name": similarity},
    )
    pairs = session.rows(questions.MODEL_PAIRS, {"similarity": similarity})
    return Groups(
        similarity=similarity,
        names=tuple(name for name, _ in session.parameters.groups),
        n_models=test["n_models"],
        within=rounded(test["within"]),
        between=rounded(test["between"]),
        p_value=rounded(test["p_value"]),
        n_labelings=test["n_labelings"],
        smallest_p=rounded(test["smallest_p_value"]),
        same_index_p=rounded_or_none(same_index[0]["p_value"]) if same_index else None,
        level=session.parameters.significance_level,
        pairs=tuple(
            ModelPair(
                row["model_a"],
                row["model_b"],
                row["group_a"],
                row["group_b"],
                rounded(row["mean_best_match"]),
                rounded_or_none(row["same_index_share"]),
            )
            for row in pairs
        ),
    )


def groups_sentence(groups: Groups) -> str:
    """Whether the groups differ, without a full stop."""
    names = f"{', '.join(groups.names[:-1])} and {groups.names[-1]}"
    found = f"{p_text(groups.p_value)}, exact, {groups.n_models} models"
    if groups.p_value <= groups.level:
        return f"Models within {names} are more alike than models across them ({found})"
    if groups.smallest_p > groups.level:
        return (
            f"{groups.n_models} models are too few to tell whether {names} differ: no result could "
            f"fall below {p_text(groups.smallest_p)}"
        )
    return f"Models within {names} are no more alike than models across them ({found})"
