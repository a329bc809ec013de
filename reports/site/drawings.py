"""The charts that the pages of a report show, each page's by the name of its section."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import altair as alt
from markupsafe import Markup

from reports.charts.choices import distribution_title, matrix_title, nearest_title
from reports.charts.cosine_charts import distribution_chart, matrix_chart
from reports.charts.effect_charts import effects_chart, readout_chart, strip_chart
from reports.charts.group_charts import groups_chart
from reports.charts.intervention_charts import agreement_chart, seeds_chart
from reports.charts.pattern_charts import mass_axis_limit, pattern_chart, profile_chart
from reports.charts.swap_charts import chance_chart, migration_chart, n_nearest, nearest_chart
from reports.charts.trend_charts import trend_chart
from reports.data import questions, wording
from reports.data.effects import Effects
from reports.data.queries import sides
from reports.data.report import Head, Pair, Report
from reports.data.trends import Trend
from reports.site.rendering import Figure, figure_of


def finding(report: Report) -> dict[str, list[Figure]]:
    """The charts of the finding; `NAME:MODEL` for one other model's."""
    figures = {"profiles": list(_reference_figures(report))}
    if not report.pairs:
        figures["patterns"] = [_pattern_figure(report, report.reference.head, "pattern")]
    if report.groups:
        chart = groups_chart(report.groups, name="groups")
        asked = {"similarity": report.groups.similarity}
        figures["groups"] = [figure_of(chart, questions.MODEL_PAIRS, asked)]
    for number, pair in enumerate(report.pairs):
        other, level = pair.claim.match.best.model, report.verdicts[0].level
        figures[f"chance:{other}"] = [
            figure_of(
                chance_chart(pair.claim, name=f"chance_{number}", level=level),
                questions.CHANCE_AND_INTERVAL,
                {
                    "similarity": report.similarity,
                    **sides(pair.claim.match.head, pair.claim.match.best),
                },
            )
        ]
        figures[f"profiles:{other}"] = list(_profile_figures(report, pair, number))
        figures[f"patterns:{other}"] = [
            _pattern_figure(report, report.reference.head, f"pattern_{number}_reference"),
            _pattern_figure(report, pair.claim.match.best, f"pattern_{number}_match"),
        ]
    return figures


def swaps(report: Report) -> dict[str, list[Figure]]:
    """The charts of all heads against all heads: `NAME:MODEL`."""
    figures = {}
    for number, pair in enumerate(report.pairs):
        claim = pair.claim
        other = claim.match.best.model
        asked = {"similarity": report.similarity, "model": claim.match.head.model, "other": other}
        chart = migration_chart(pair, name=f"migration_{number}", level=report.verdicts[0].level)
        figures[f"map:{other}"] = [figure_of(chart, questions.RANKING, asked)]
        figures[f"cosines:{other}"] = [
            figure_of(
                matrix_chart(pair.matrix, claim, name=f"matrix_{number}", ranking=pair.ranking),
                questions.COSINES,
                asked,
            ),
            figure_of(
                nearest_chart(pair.matrix, claim.match.head, name=f"nearest_{number}"),
                questions.NEAREST,
                {**asked, **vars(claim.match.head), "most": n_nearest(pair.matrix)},
            ),
            figure_of(
                distribution_chart(
                    pair.matrix, claim, name=f"distribution_{number}", ranking=pair.ranking
                ),
                questions.COSINES_RANKED,
                asked,
            ),
        ]
    return figures


def captions(report: Report) -> dict[str, list[str]]:
    """What the charts of all heads are titled for each head that may be chosen, by their ids."""
    found: dict[str, list[str]] = {}
    for number, pair in enumerate(report.pairs):
        matches = {match.head: match for match in pair.ranking}
        heads, other = pair.matrix.heads_a, pair.claim.match.best.model
        median, n_shown = pair.claim.spread.median, n_nearest(pair.matrix)
        for head in heads:
            match = matches.get(head)
            none = f"{head} has no match in {other}"
            titles = {
                "matrix": matrix_title(match, median) if match else none,
                "nearest": nearest_title(n_shown, other, head) if match else none,
                "distribution": distribution_title(pair.matrix, match) if match else none,
            }
            for name, title in titles.items():
                found.setdefault(f"{name}_{number}", []).append(title)
    return found


def effects(found: Effects) -> dict[str, list[Figure]]:
    """The charts of what heads do.

    `grid:KIND:MODEL`, `work:MODEL`, `agreement:KIND:MODEL`, `seeds` and `readouts`.
    """
    marked = {work.other: work.match for work in found.works}
    marked[found.reference.model] = found.reference
    figures = {
        f"grid:{ablated.kind}:{ablated.model}": [
            figure_of(
                effects_chart(ablated, marked.get(ablated.model), name=f"effects_{number}"),
                questions.ABLATIONS,
                {"kind": ablated.kind, "model": ablated.model},
            )
        ]
        for number, ablated in enumerate(found.ablated)
    }
    for number, work in enumerate(found.works):
        figures[f"work:{work.other}"] = [
            figure_of(
                strip_chart(work, name=f"work_{number}"),
                questions.ABLATIONS_OF_TWO,
                {"kind": work.mine.kind, "model": work.head.model, "other": work.other},
            )
        ]
    for number, estimated in enumerate(found.estimated):
        if estimated.n_both:
            chart = agreement_chart(
                estimated, marked.get(estimated.model), name=f"agreement_{number}"
            )
            asked = {"kind": estimated.kind, "model": estimated.model}
            figures[f"agreement:{estimated.kind}:{estimated.model}"] = [
                figure_of(chart, questions.ESTIMATES_AND_EFFECTS, asked)
            ]
    figures["seeds"] = [
        figure_of(
            seeds_chart(change, name=f"seeds_{number}"),
            questions.SEEDS,
            {
                "model": change.ablated.model,
                "prompt_set": change.ablated.prompt_set,
                "sampling": change.ablated.sampling,
                "ablation": change.ablated.ablation,
                "kind": change.ablated.kind,
            },
        )
        for number, change in enumerate(found.seed_changes)
    ]
    figures["readouts"] = [
        figure_of(
            readout_chart(readout, found.reference.model, name=f"readout_{number}"),
            questions.READOUTS,
            {"token_class": readout.token_class},
        )
        for number, readout in enumerate(found.readouts)
    ]
    return figures


def trends(found: Sequence[Trend]) -> dict[str, list[Figure]]:
    """The charts of scores over the checkpoints of each run, by the run."""
    figures: dict[str, list[Figure]] = {}
    for number, trend in enumerate(found):
        chart = trend_chart(trend, name=f"trend_{number}")
        figures.setdefault(trend.run, []).append(
            figure_of(
                chart,
                questions.TREND,
                {"run": trend.run, "score": trend.score},
                model=trend.heads[0].head.model,
            )
        )
    return figures


def templates(report: Report) -> tuple[tuple[str, Markup], ...]:
    """The specifications that the page of one head fills with the head that is chosen there."""
    head = report.reference.head
    best = [pair.profiles[pair.claim.match.best] for pair in report.pairs[:1]]
    charts: dict[str, alt.Chart | alt.LayerChart] = {
        "profile_template": profile_chart(
            [report.reference_profile, *best], name="head_profile", title="profile", mass_limit=1.0
        ),
        "pattern_template": pattern_chart(report.example.patterns[head], name="head_pattern"),
    }
    return tuple((name, figure_of(chart).spec) for name, chart in charts.items())


def _reference_figures(report: Report) -> Iterator[Figure]:
    if not report.pairs:
        profile = report.reference_profile
        title = wording.headline(report)
        yield figure_of(
            profile_chart([profile], name="profile", title=title, mass_limit=_mass_limit(report)),
            questions.PROFILE,
            vars(profile.head),
        )


def _profile_figures(report: Report, pair: Pair, number: int) -> Iterator[Figure]:
    """The closest profiles, then those of the same-index pairs that exist."""
    criterion = pair.claim.criterion
    head, best = criterion.head, criterion.best
    if best is None:
        return
    digits = wording.digits_apart(criterion.cosines)
    panels: list[tuple[str, str, Head, Head, float | None]] = [
        ("match", "Closest profile", head, best, criterion.cosine)
    ]
    if criterion.is_moved and pair.claim.is_one_shape:
        other, own = head.in_model(best.model), best.in_model(head.model)
        panels += [
            ("index_a", f"Same index {other.index}", head, other, criterion.same_index_reference),
            ("index_b", f"Same index {own.index}", own, best, criterion.same_index_match),
        ]
    for name, words, head_a, head_b, cosine in panels:
        if cosine is not None:
            chart = profile_chart(
                [pair.profiles[head_a], pair.profiles[head_b]],
                name=f"profile_{number}_{name}",
                title=f"{words}: cosine {cosine:.{digits}f}",
                mass_limit=_mass_limit(report),
            )
            yield figure_of(chart, questions.PROFILES, sides(head_a, head_b), model=best.model)


def _mass_limit(report: Report) -> float:
    """The top of every profile's axis: one for all, so that the panels compare."""
    profiles = [profile for pair in report.pairs for profile in pair.profiles.values()]
    return mass_axis_limit([report.reference_profile, *profiles])


def _pattern_figure(report: Report, head: Head, name: str) -> Figure:
    return figure_of(
        pattern_chart(report.example.patterns[head], name=name),
        questions.PATTERN,
        {**vars(head), "prompt_id": report.example.prompt_id},
    )
