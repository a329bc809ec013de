"""Single figures by name: for notebooks as Altair charts, for papers and talks as files.

>>> sorted(FIGURES)
['chance', 'distribution', 'matrix', 'pattern', 'profiles', 'swaps', 'trends']

In Jupyter and marimo a chart displays itself:

    with open_session(Path("dataset")) as session:
        chart = profiles(session).chart
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import altair as alt

from ingest.kernel.errors import InputError
from reports.charts.cosine_charts import distribution_chart, matrix_chart
from reports.charts.pattern_charts import mass_axis_limit, pattern_chart, profile_chart
from reports.charts.swap_charts import chance_chart, migration_chart
from reports.charts.theme import LIGHT, Theme
from reports.charts.trend_charts import trend_chart
from reports.data.patterns import MAX_TOKENS, read_pattern, read_prompt
from reports.data.queries import (
    check_prompts,
    compared_models,
    read_cosine,
    read_pair,
    read_profile,
    read_reference,
    sides,
)
from reports.data.report import Head, Pair
from reports.data.trends import PAGE_SCORES, read_trend, runs
from reports.data.wording import COMPARED, compared_by
from sql.parameters import check_head, check_model, parse_model_head
from sql.session import Session

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Drawn:
    """A figure: its chart, and the numbers under it as rows. notes: what it does not show."""

    chart: alt.Chart | alt.LayerChart
    rows: Sequence[dict[str, Any]]
    notes: tuple[str, ...] = ()

    @property
    def frame(self) -> pl.DataFrame:
        """The numbers as a data frame, which Altair and files take as it is."""
        import polars as pl

        return pl.DataFrame(self.rows, infer_schema_length=None)


@dataclass(frozen=True)
class Choice:
    """What a figure is of; None or nothing where the data choose.

    heads: names like `standard:L3H0`. other: the model that the reference head is looked for in.
    prompt: its prompt_id. score: of the trends, a name of the view head_scores. width: of the
    figure in pixels, axes and legend included.
    """

    heads: tuple[str, ...] = ()
    other: str | None = None
    prompt: int | None = None
    score: str | None = None
    theme: Theme = LIGHT
    width: int = 560


def profiles(session: Session, choice: Choice | None = None) -> Drawn:
    """One or two heads' structural mass along the prompt; the reference head and its match.

    Raises: InputError for a head, model or prompt that the dataset lacks, as all of these.
    """
    choice = choice or Choice()
    check_prompts(session)
    heads = [head_named(session, text) for text in choice.heads]
    if not heads:
        heads = [read_reference(session).head]
        others = compared_models(session, heads[0].model)
        if others and (pair := _pair(session, choice, heads[0], others)):
            heads.append(pair.claim.match.best)
    if len(heads) > 2:
        raise InputError(f"{len(heads)} heads for one figure", hint="name one or two")
    found = [read_profile(session, head) for head in heads]
    chart = profile_chart(
        found,
        name="profiles",
        title=_profiles_title(session, heads),
        mass_limit=mass_axis_limit(found),
        theme=choice.theme,
        width=choice.width,
    )
    rows = [
        {**vars(profile.head), "bin": bin_, "n_queries": n_queries, "mass": mass}
        for profile in found
        for bin_, (mass, n_queries) in enumerate(zip(profile.mass, profile.n_queries, strict=True))
    ]
    return Drawn(chart, rows)


def pattern(session: Session, choice: Choice | None = None) -> Drawn:
    """A head's attention on one prompt: the reference head, on the shortest."""
    choice = choice or Choice()
    check_prompts(session)
    if len(choice.heads) > 1:
        raise InputError(f"{len(choice.heads)} heads for one figure", hint="name one")
    heads = [head_named(session, text) for text in choice.heads]
    head = heads[0] if heads else read_reference(session).head
    prompt = prompt_of(session, head.model, choice.prompt)
    prompt_id, n_tokens = prompt["prompt_id"], prompt["n_tokens"]
    found = read_pattern(session, head, prompt_id)
    rows = [
        {
            **vars(head),
            "prompt_id": prompt_id,
            "query": query,
            "query_token": found.tokens[query].text,
            "key": key,
            "key_token": found.tokens[key].text,
            "weight": weight,
        }
        for query, weights in enumerate(found.weights)
        for key, weight in enumerate(weights)
    ]
    is_cut = n_tokens > MAX_TOKENS
    notes = (f"the first {MAX_TOKENS} of {n_tokens} tokens are shown",) if is_cut else ()
    chart = pattern_chart(found, name="pattern", theme=choice.theme, width=choice.width)
    return Drawn(chart, rows, notes)


def distribution(session: Session, choice: Choice | None = None) -> Drawn:
    """How many pairs of heads of two models are how alike, the claim's cosines marked."""
    choice, pair = _chosen_pair(session, choice)
    chart = distribution_chart(
        pair.matrix, pair.claim, name="distribution", theme=choice.theme, width=choice.width
    )
    return Drawn(chart, _cosine_rows(pair))


def matrix(session: Session, choice: Choice | None = None) -> Drawn:
    """The cosine of every head of the reference head's model with every head of another."""
    choice, pair = _chosen_pair(session, choice)
    chart = matrix_chart(
        pair.matrix, pair.claim, name="matrix", theme=choice.theme, width=choice.width
    )
    return Drawn(chart, _cosine_rows(pair))


def chance(session: Session, choice: Choice | None = None) -> Drawn:
    """The claim's cosines with the match's interval, and what chance gives."""
    choice, pair = _chosen_pair(session, choice)
    claim = pair.claim
    match, other = claim.match, claim.match.best.model
    low, high = claim.interval or (None, None)
    rows = [
        {
            **sides(match.head, match.best),
            "cosine": match.cosine,
            "low": low,
            "high": high,
            "null_mean": claim.chance.mean,
            "null_high": claim.chance.high,
            "p_value": match.p_value,
        }
    ]
    if claim.is_moved and claim.is_one_shape:
        same_index = (
            (match.head, match.head.in_model(other), claim.same_index_reference),
            (match.best.in_model(match.head.model), match.best, claim.same_index_match),
        )
        rows += [
            {**dict.fromkeys(rows[0]), **sides(head_a, head_b), "cosine": cosine}
            for head_a, head_b, cosine in same_index
            if cosine is not None
        ]
    notes = () if claim.interval else ("no interval: one prompt, or prompts of one pair",)
    chart = chance_chart(
        claim,
        name="chance",
        level=session.parameters.significance_level,
        theme=choice.theme,
        width=choice.width,
    )
    return Drawn(chart, rows, notes)


def swaps(session: Session, choice: Choice | None = None) -> Drawn:
    """A line from every head of the reference head's model to its best match in another."""
    choice, pair = _chosen_pair(session, choice)
    rows = [
        {
            **sides(match.head, match.best),
            "cosine": match.cosine,
            "is_same_index": match.is_same_index,
            "is_mutual": match.is_mutual,
            "p_value": match.p_value,
        }
        for match in sorted(pair.ranking, key=lambda match: (match.head.layer, match.head.head))
    ]
    chart = migration_chart(
        pair,
        name="swaps",
        level=session.parameters.significance_level,
        theme=choice.theme,
        width=choice.width,
    )
    return Drawn(chart, rows)


def trends(session: Session, choice: Choice | None = None) -> Drawn:
    """A score of the heads over the checkpoints of a run: induction, where it is defined."""
    choice = choice or Choice()
    check_prompts(session)
    if choice.heads:
        raise InputError("this figure is of the highest heads", hint="leave --head out")
    if not (found := runs(session)):
        raise InputError(
            f"{session.dataset.path} has no two checkpoints of one run",
            hint="a checkpoint is a source such as ORG/NAME@step1000 or path/checkpoint-1000",
        )
    scores = [choice.score] if choice.score else PAGE_SCORES
    drawn = (read_trend(session, found[0], score) for score in scores)
    trend = next((trend for trend in drawn if trend is not None), None)
    if trend is None:
        raise InputError(
            f"the score {choice.score or ' or '.join(PAGE_SCORES)!r} is not defined here",
            hint="select distinct score from head_scores where value is not null",
        )
    rows = [
        {
            "model": point.model,
            "layer": head.head.layer,
            "head": head.head.head,
            "run": trend.run,
            "step": point.step,
            "score": trend.score,
            "value": point.value,
            "low": point.low,
            "high": point.high,
            "emergence_step": head.emergence_step,
        }
        for head in trend.heads
        for point in head.points
    ]
    notes = [f"the highest {len(trend.heads)} of {trend.n_heads} heads are shown"]
    if len(found) > 1:
        notes.append(f"of {len(found)} runs, {trend.run} is shown")
    is_cut = len(trend.heads) < trend.n_heads
    chart = trend_chart(trend, name="trends", theme=choice.theme, width=choice.width)
    return Drawn(chart, rows, tuple(notes[0 if is_cut else 1 :]))


FIGURES: dict[str, Callable[[Session, Choice], Drawn]] = {
    "profiles": profiles,
    "pattern": pattern,
    "chance": chance,
    "distribution": distribution,
    "matrix": matrix,
    "swaps": swaps,
    "trends": trends,
}
# By what may be chosen, the figures that it is of. Which head is marked, `_chosen_pair` says.
_CHOSEN_FOR = {
    "other": ("profiles", "chance", "distribution", "matrix", "swaps"),
    "prompt": ("pattern",),
    "score": ("trends",),
}


def draw(session: Session, name: str, choice: Choice) -> Drawn:
    """One of FIGURES, by its name.

    Raises: InputError where what is chosen is of other figures, and as the figure.
    """
    for word, figures in _CHOSEN_FOR.items():
        if getattr(choice, word) is not None and name not in figures:
            raise InputError(
                f"the figure {name} has no choice of --{word}",
                hint=f"leave it out, or draw {' or '.join(figures)}",
            )
    if choice.heads and choice.other is not None:
        raise InputError(
            "--other is where the match of the reference head is looked for, and heads are named",
            hint="leave --other or --head out",
        )
    return FIGURES[name](session, choice)


def _chosen_pair(session: Session, choice: Choice | None) -> tuple[Choice, Pair]:
    choice = choice or Choice()
    check_prompts(session)
    if choice.heads:
        raise InputError(
            "this figure is of all heads of two models",
            hint="choose the head that it marks with --reference",
        )
    head = read_reference(session).head
    others = compared_models(session, head.model)
    if not others:
        raise InputError(
            f"{session.dataset.name} has no second model that {head.model!r} is compared with",
            hint="ingest one, or compare other models with --pair",
        )
    pair = _pair(session, choice, head, others)
    if pair is None:
        raise InputError(
            f"how alike {head} is to other heads is undefined by "
            f"{COMPARED[session.parameters.chosen_similarity]}",
            hint="profiles need structural tokens (ingest with --structural), contents the same "
            "tokens in both models; choose another --similarity, or another head with --reference",
        )
    return choice, pair


def _pair(session: Session, choice: Choice, head: Head, others: list[str]) -> Pair | None:
    other = choice.other or others[0]
    if other not in others:
        raise InputError(
            f"{head.model!r} is not compared with a model {other!r}",
            hint=f"it is with {', '.join(others)}",
        )
    return read_pair(session, head, other)


def prompt_of(session: Session, model: str, prompt_id: int | None) -> dict[str, Any]:
    """An analysed prompt as `read_prompt` gives it, None for the shortest.

    Raises: InputError where there is none such.
    """
    prompt = read_prompt(session, model, prompt_id)
    if prompt is None:
        raise InputError(
            f"the dataset analyses no prompt {prompt_id}",
            hint="the view prompts lists them: select prompt_id, task from prompts",
        )
    return prompt


def head_named(session: Session, text: str) -> Head:
    """A head by its name, as in `standard:L3H0`; without a model that of the first.

    Raises: InputError where the dataset has no such head.
    """
    model, layer, number = parse_model_head(text)
    model = model or session.dataset.manifest.models[0].name
    check_model(session.dataset, model)
    check_head(session.dataset, model, layer, number)
    return Head(model, layer, number)


def _profiles_title(session: Session, heads: Sequence[Head]) -> str:
    names = " and ".join(map(str, heads))
    if len(heads) < 2:
        return names
    cosine = read_cosine(session, *heads)
    if cosine is None:
        return names
    compared = compared_by(session.parameters.chosen_similarity)
    return f"{names}: cosine {cosine:.3f}{compared}"


def _cosine_rows(pair: Pair) -> list[dict[str, Any]]:
    return [
        {**sides(head_a, head_b), "cosine": cosine}
        for head_a, cosines in zip(pair.matrix.heads_a, pair.matrix.cosines, strict=True)
        for head_b, cosine in zip(pair.matrix.heads_b, cosines, strict=True)
    ]
