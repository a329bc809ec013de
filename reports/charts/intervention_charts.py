"""Charts of estimates beside exact effects, and of complexity and steps over seeds."""

from __future__ import annotations

import altair as alt

from reports.charts.theme import LIGHT, Theme, inline, placed, themed
from reports.data.interventions.estimates import Estimated
from reports.data.interventions.intervention_wording import agreement_sentence, seeds_title
from reports.data.interventions.texts import SeedChange
from reports.data.report import Head


def agreement_chart(
    estimated: Estimated, marked: Head | None, *, name: str, theme: Theme = LIGHT
) -> alt.LayerChart:
    """A point a head: what ablating it changes, and what is estimated; on the line both agree."""
    rows = [
        {
            "name": found.head.index,
            "exact": round(found.exact_nats, 6),
            "estimate": round(found.estimated_nats, 6),
            "role": "marked" if found.head == marked else "other heads",
        }
        for found in estimated.heads
        if found.exact_nats is not None
    ]
    values = [row[axis] for row in rows for axis in ("exact", "estimate")]
    ends = [min(values), max(values)]
    base = alt.Chart(inline(rows)).encode(
        x=alt.X("exact:Q").title("exact change of the loss (nats)").axis(tickCount=5),
        y=alt.Y("estimate:Q").title("estimated change (nats)").axis(tickCount=5),
    )
    line = alt.Chart(inline({"exact": end, "estimate": end} for end in ends)).encode(
        x="exact:Q", y="estimate:Q"
    )
    points = base.mark_point(filled=True, size=40, opacity=0.75).encode(
        color=alt.Color("role:N", legend=None).scale(
            domain=["marked", "other heads"], range=[theme.reference, theme.muted]
        ),
        tooltip=[
            alt.Tooltip("name:N", title="head"),
            alt.Tooltip("exact:Q", title="exact change (nats)", format="+.4f"),
            alt.Tooltip("estimate:Q", title="estimated change (nats)", format="+.4f"),
        ],
    )
    labels = (
        base.transform_filter(alt.datum.role == "marked")
        .mark_text(dy=-10, fontSize=11, fontWeight=600, color=theme.reference)
        .encode(text="name:N")
    )
    agreeing = line.mark_line(strokeDash=[4, 3], strokeWidth=1, color=theme.muted)
    text = agreement_sentence(estimated)
    layers = alt.LayerChart(layer=[agreeing, points, labels])
    chart = placed(layers, width=None, height=240, title=text)
    return themed(chart, theme, name=name, description=f"Scatter plot. {text}.")


def seeds_chart(change: SeedChange, *, name: str, theme: Theme = LIGHT) -> alt.LayerChart:
    """Complexity and steps, whole and ablated: a line a seed, and one of the medians."""
    states = ["whole", f"without {change.ablated.ablation}"]
    values = {
        seed: (change.whole.by_seed[seed], change.ablated.by_seed[seed]) for seed in change.seeds
    }
    rows = [
        {"seed": seed, "state": state, "correlation": round(value, 6)}
        for seed, both in values.items()
        for state, value in zip(states, both, strict=True)
    ]
    base = alt.Chart(inline(rows)).encode(
        x=alt.X("state:N")
        .title(None)
        .sort(states)
        .axis(labelAngle=0, labelFontSize=12, grid=False),
    )
    shown = base.encode(
        y=alt.Y("correlation:Q")
        .title("Spearman’s correlation")
        .scale(zero=False, nice=True)
        .axis(tickCount=5),
    )
    tooltip = [
        alt.Tooltip("seed:N", title="seed"),
        alt.Tooltip("state:N", title="model"),
        alt.Tooltip("correlation:Q", title="correlation", format=".3f"),
    ]
    seeds = shown.encode(detail="seed:N", tooltip=tooltip)
    medians = base.encode(y=alt.Y("median(correlation):Q"))
    layers = alt.LayerChart(
        layer=[
            seeds.mark_line(color=theme.muted, strokeWidth=1, opacity=0.7),
            seeds.mark_point(color=theme.muted, filled=True, size=30),
            medians.mark_line(color=theme.reference, strokeWidth=3),
        ]
    )
    text = seeds_title(change)
    chart = placed(layers, width=None, height=240, title=text)
    return themed(chart, theme, name=name, description=f"Slope chart over seeds. {text}.")
