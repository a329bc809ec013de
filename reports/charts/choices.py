"""What the charts of all heads mark for the head that is chosen: its match, its own index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.data.report import CosineMatrix, Head, Match
from reports.data.wording import digits_apart

# The row of the head that is chosen, in every chart of a page that follows the choice.
CHOSEN = "chosen_row"
MATCH, SAME_INDEX, SAME_INDEX_BACK = "match", "same index", "same index of the match"


@dataclass(frozen=True)
class Mark:
    """A pair of heads that is marked when the head of its row is chosen, and what it is called."""

    row: int
    kind: str
    head_a: Head
    head_b: Head
    cosine: float
    label: str


def marks(matrix: CosineMatrix, matches: Sequence[Match], is_one_shape: bool) -> list[Mark]:
    """The match of each head and, where it moved, the pairs of its own and of the match's index."""
    return [mark for match in matches for mark in _marks_of(matrix, match, is_one_shape)]


def _marks_of(matrix: CosineMatrix, match: Match, is_one_shape: bool) -> list[Mark]:
    pairs = [(MATCH, match.head, match.best, "match {a} ↔ {b}")]
    if is_one_shape and not match.is_same_index:
        own, back = match.head.in_model(match.best.model), match.best.in_model(match.head.model)
        pairs += [
            (SAME_INDEX, match.head, own, "same index {a}"),
            (SAME_INDEX_BACK, back, match.best, "same index {a}"),
        ]
    found = [
        (kind, head_a, head_b, words, cosine)
        for kind, head_a, head_b, words in pairs
        if (cosine := cosine_of(matrix, head_a, head_b)) is not None
    ]
    digits = digits_apart(tuple(cosine for *_, cosine in found))
    row = matrix.heads_a.index(match.head)
    return [
        Mark(
            row=row,
            kind=kind,
            head_a=head_a,
            head_b=head_b,
            cosine=cosine,
            label=f"{words.format(a=head_a.index, b=head_b.index)}: {cosine:.{digits}f}",
        )
        for kind, head_a, head_b, words, cosine in found
    ]


def cosine_of(matrix: CosineMatrix, head_a: Head, head_b: Head) -> float | None:
    """The cosine of two heads; None where it is undefined, or a model lacks the head."""
    if head_a not in matrix.heads_a or head_b not in matrix.heads_b:
        return None
    return matrix.cosines[matrix.heads_a.index(head_a)][matrix.heads_b.index(head_b)]


def distribution_title(matrix: CosineMatrix, match: Match) -> str:
    """How many of all pairs of heads are as alike as a match."""
    cosines = matrix.defined
    n_as_alike = sum(cosine >= match.cosine for cosine in cosines)
    return (
        f"{n_as_alike:,} of {len(cosines):,} pairs of heads ({n_as_alike / len(cosines):.1%}) are "
        f"at least as alike as {match.head} and {match.best}"
    )


def matrix_title(match: Match, median: float) -> str:
    """Where a match stands among all cosines."""
    return f"{match.head} ↔ {match.best} stands at {match.cosine:.3f}, the median at {median:.3f}"


def nearest_title(n_shown: int, model: str, head: Head) -> str:
    """Whose most alike heads are shown."""
    return f"The {n_shown} heads of {model} that are most like {head}"
