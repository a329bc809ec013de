"""The chart of groups of models: every pair of models as a dot, within and between groups."""

from __future__ import annotations

import altair as alt

from reports.charts.theme import LIGHT, Theme, inline, placed, themed
from reports.data.report import Groups
from reports.data.verdicts import groups_sentence

# Pixels by which dots stand below the middle of their line.
_BELOW = 10


def groups_chart(
    groups: Groups, *, name: str, theme: Theme = LIGHT, width: int | None = None
) -> alt.LayerChart:
    """How alike every two models are, by whether a group holds both; a tick marks each mean."""
    values = [
        {
            "pair": f"{pair.model_a} and {pair.model_b}",
            "kind": f"within {pair.group_a}"
            if pair.is_within
            else f"{pair.group_a} and {pair.group_b}",
            "where": "within" if pair.is_within else "between",
            "alike": pair.mean_best_match,
        }
        for pair in groups.pairs
    ]
    kinds = sorted(
        {str(row["kind"]) for row in values}, key=lambda kind: ("within" not in kind, kind)
    )
    base = alt.Chart(inline(values)).encode(
        y=alt.Y("kind:N").sort(kinds).axis(None),
        color=alt.Color("where:N", legend=None).scale(
            domain=["within", "between"], range=[theme.other, theme.reference]
        ),
    )
    x = (
        alt.X("alike:Q")
        .scale(zero=False)
        .title("mean best match of all heads (atanh of the cosine)")
    )
    dots = base.mark_point(filled=True, opacity=0.65, size=80, yOffset=_BELOW).encode(
        x=x,
        tooltip=[
            alt.Tooltip("pair:N", title="models"),
            alt.Tooltip("alike:Q", title="mean best match", format=".4f"),
        ],
    )
    means = base.mark_tick(thickness=3, size=26, yOffset=_BELOW).encode(x="mean(alike):Q")
    # Above the dots: beside them it would leave them no room in a narrow window.
    kinds_text = (
        alt.Chart(inline({"kind": kind} for kind in kinds))
        .mark_text(align="left", dy=-_BELOW - 6, fontSize=12, fontWeight=600, color=theme.ink)
        .encode(y=alt.Y("kind:N").sort(kinds), x=alt.value(0), text="kind:N")
    )
    title = groups_sentence(groups)
    layers = alt.LayerChart(layer=[dots, means, kinds_text])
    chart = placed(layers, width=width, height=56 * len(kinds), title=title)
    return themed(chart, theme, name=name, description=f"Dot chart of pairs of models. {title}.")
