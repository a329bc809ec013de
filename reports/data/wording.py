"""The report's sentences and the way it writes numbers, tokens and commands."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence

from reports.data.report import Claim, Criterion, Head, Report
from reports.data.verdicts import count_sentence, groups_sentence, match_sentence
from reports.study.runs import Change, Run
from sql.parameters import CONTENT, TESTED_SIMILARITIES

_VISIBLE = {" ": "·", "\n": "↵", "\t": "⇥", "\r": "␍"}
_MOST_DIGITS = 6
_NARROW_MARGIN = 0.001
_LABEL_LENGTH = 14


def digits_apart(values: tuple[float, ...]) -> int:
    """Decimals, at least 3, at which the first of some values differs from all others.

    >>> digits_apart((0.9971, 0.663, 0.643)), digits_apart((0.99712, 0.99708)), digits_apart((1, 1))
    (3, 5, 3)
    """
    first, *others = (round(value, _MOST_DIGITS) for value in values)
    apart = [other for other in others if other != first]
    for digits in range(3, _MOST_DIGITS):
        if all(f"{first:.{digits}f}" != f"{other:.{digits}f}" for other in apart):
            return digits
    return _MOST_DIGITS


# What each similarity compares.
COMPARED = {
    "content": "heads' contents",
    "profile_whitened": "whitened profiles",
    "profile": "profiles",
    "profile_centred": "centred profiles",
    "profile_no_sink": "profiles without key 0",
    "profile_no_sink_centred": "centred profiles without key 0",
}


def compared_by(similarity: str) -> str:
    """What follows a statement about matches: what they rest on.

    >>> compared_by("profile"), compared_by("content")
    (', compared by profiles', ", compared by heads' contents")
    """
    return f", compared by {COMPARED[similarity]}"


def claim_sentence(criterion: Criterion) -> str:
    """The published claim with its numbers and whether it holds."""
    verdict = "the claim holds" if criterion.holds else "the claim does not hold"
    if criterion.best is None or criterion.cosine is None:
        return f"{criterion.head} ↔ {criterion.model} –: cosine – (undefined) → {verdict}"
    digits = digits_apart(criterion.cosines)
    reference = _same_index(criterion.head, criterion.same_index_reference, digits)
    same_index = [f"same index {reference}"]
    if criterion.is_moved:
        same_index.append(_same_index(criterion.best, criterion.same_index_match, digits))
    numbers = f"cosine {criterion.cosine:.{digits}f}; {'; '.join(same_index)}"
    return f"{criterion.head} ↔ {criterion.best}: {numbers} → {verdict}"


def _same_index(head: Head, cosine: float | None, digits: int) -> str:
    return f"{head.index}: {'no such pair' if cosine is None else f'{cosine:.{digits}f}'}"


def verdict_reason(criterion: Criterion) -> str:
    """Why the published claim holds, or why it does not."""
    head, best, cosine = criterion.head, criterion.best, criterion.cosine
    if best is None or cosine is None:
        return (
            f"The profile of {head}, or that of every head of {criterion.model}, is 0 in every "
            "bin, and such a profile has no cosine."
        )
    if criterion.holds:
        return "The most alike head has another index, and is closer than the heads of one index."
    if not criterion.is_moved:
        return f"The most alike head of {best.model} has the same index: nothing moved."
    if criterion.same_index_match is not None and criterion.same_index_match >= cosine:
        rival = f"{best.in_model(head.model)} and {best}"
    else:
        rival = f"{head} and {head.in_model(best.model)}"
    return f"The heads of one index, {rival}, are at least as alike."


def unmatched_sentence(similarity: str) -> str:
    """Why heads have no match by a similarity."""
    if (
        similarity in TESTED_SIMILARITIES
    ):  # whitened: what a head shares with its layer is taken out
        return "They differ in nothing from the mean of their layer."
    return "Their profile is 0 in every bin, and such a profile has no cosine."


def undefined_sentence(report: Report, model: str) -> str:
    """Why nothing is shown of the reference head and another model."""
    return (
        f"By {COMPARED[report.similarity]}, how alike {report.reference.head} is to the heads of "
        f"{model} is undefined: best match –, chance –, p –. "
        + (
            "It does not differ from the other heads of its layer, or the two models cut the "
            "prompts into different tokens."
            if report.similarity == CONTENT
            else "Profiles measure attention to structural tokens; headswap ingest --structural "
            "chooses which tokens these are."
        )
    )


def doubts(claim: Claim) -> str | None:
    """What speaks against making much of a match, None where nothing does."""
    match = claim.match
    found = []
    if match.cosine <= claim.chance.high:
        found.append("chance does as well")
    if match.cosine < claim.spread.percentile_95:
        found.append("its cosine is below the 95th percentile of all pairs")
    if match.margin is not None and match.margin < _NARROW_MARGIN:
        found.append(f"the runner-up is within {_NARROW_MARGIN}")
    if not match.is_mutual:
        found.append("it is not mutual")
    return f"Read the match with care: {'; '.join(found)}." if found else None


def headline(report: Report) -> str:
    """What the tests say of the reference head and the first other model, in one line."""
    reference = report.reference.head
    if report.groups:
        return groups_sentence(report.groups)
    if report.verdicts and not report.has_structure and not report.reference.is_given:
        return count_sentence(report.verdicts[0])
    if report.verdicts:
        return match_sentence(reference, report.verdicts[0])
    if not report.has_structure:
        return f"What each head of {reference.model} attends to: {report.n_analysed:,} prompts"
    share = f"{report.reference.late_mass:.0%}"
    return f"{reference} gives structural tokens {share} of its attention in the later half"


def heads_title(report: Report, n_heads: int) -> str:
    """What the page of all heads is of."""
    models = len(report.models)
    of = report.models[0].name if models == 1 else f"{models} models"
    return f"All {n_heads:,} heads of {of}, and what each attends to"


def swaps_title(report: Report) -> str:
    """How many heads have a counterpart beyond chance in the first other model."""
    return count_sentence(report.verdicts[0])


def prompts_title(n_prompts: int) -> str:
    """What the page of the prompts is of."""
    return f"{counted(n_prompts, 'prompt')}, token by token: which tokens are looked at"


def data_title(report: Report) -> str:
    """What the dataset holds."""
    n_rows = sum(model.n_rows for model in report.models)
    models, prompts = counted(len(report.models), "model"), counted(report.n_prompts, "prompt")
    return f"{n_rows:,} attention weights of {models} on {prompts}"


def history_title(runs: Sequence[Run], found: Sequence[Change]) -> str:
    """What the runs say together."""
    if not runs:
        return "No run recorded yet"
    if not found:
        return f"{counted(len(runs), 'run')}, and no verdict changed"
    return f"{counted(len(found), 'verdict')} changed in {counted(len(runs), 'run')}"


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "run"), counted(1200, "run")
    ('1 run', '1,200 runs')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


# The scores of the views, under their names there, by what they measure; what a value is of.
_SHARE = "share of attention"
SCORE_GROUPS = {
    "Structure of the text": {
        "late_mass": f"{_SHARE} on structural tokens, mean over the later half of the profile",
        "structural": f"{_SHARE} on structural tokens",
        "marker": f"{_SHARE} on markers",
        "task": f"{_SHARE} on tokens of the task",
        "step": f"{_SHARE} on tokens of steps",
        "own_step": f"{_SHARE} on the query's own step",
        "previous_step": f"{_SHARE} on the step before the query's",
    },
    "Position": {
        "previous_token": f"{_SHARE} on the token before the query",
        "current_token": f"{_SHARE} on the query itself",
        "first_token": f"{_SHARE} on the first token",
        "distance": "mean distance to the keys, in tokens",
    },
    "Repetition": {
        "duplicate_token": f"{_SHARE} on earlier tokens equal to the query's",
        "induction": f"{_SHARE} on tokens that follow earlier ones equal to the query's",
        "first_token_again": f"{_SHARE} on later copies of the first token",
    },
    "Concentration": {"entropy": "entropy of a query's weights, in bits"},
}
_UNITS = {"entropy": "bits", "distance": "tokens"}


def with_unit(score: str) -> str:
    """A score with the unit of its values.

    >>> with_unit("entropy"), with_unit("induction")
    ('entropy (bits)', 'induction (share)')
    """
    return f"{score} ({_UNITS.get(score, 'share')})"


def grouped_scores(names: Collection[str]) -> dict[str, dict[str, str]]:
    """Those of some scores by group, with what each measures; groups without any are left out.

    >>> grouped_scores(["entropy"])
    {'Concentration': {'entropy': "entropy of a query's weights, in bits"}}
    """
    found = {
        group: {score: text for score, text in scores.items() if score in names}
        for group, scores in SCORE_GROUPS.items()
    }
    return {group: scores for group, scores in found.items() if scores}


def visible(text: str) -> str:
    r"""A token's text with its blanks and control characters made visible.

    >>> visible(" the"), visible("a b"), visible("\n"), visible("\x07"), visible("")
    ('·the', 'a·b', '↵', '\\x07', '∅')
    """
    return "".join(_VISIBLE.get(character) or _printable(character) for character in text) or "∅"


def shortened(text: str) -> str:
    """A token's text, made visible, as an axis has room for it.

    >>> shortened(" the"), shortened("incomprehensibilities")
    ('·the', 'incomprehensi…')
    """
    shown = visible(text)
    return shown if len(shown) <= _LABEL_LENGTH else shown[: _LABEL_LENGTH - 1] + "…"


def _printable(character: str) -> str:
    # C*: control, format (among them what turns the direction of writing), private, unassigned.
    is_hidden = unicodedata.category(character)[0] == "C" or (
        unicodedata.category(character)[0] == "Z" and character != " "
    )
    return repr(character)[1:-1] if is_hidden else character
