"""Charts of scores over the checkpoints of a run of training."""

from __future__ import annotations

import math

import altair as alt

from reports.charts.theme import LIGHT, Theme, inline, placed, themed
from reports.data.trends import Trend
from reports.data.wording import with_unit

# Scores that are shares: their axis ends at 0 and 1 at the most.
_UNBOUNDED = ("entropy", "distance")
# 512, but 143k.
_STEP_LABEL = "datum.value < 1000 ? datum.value : format(datum.value, '~s')"
# Labels nearer than this share of the axis would lie on each other.
_ROOM = 0.06


def trend_chart(
    trend: Trend, *, name: str, theme: Theme = LIGHT, width: int | None = None
) -> alt.LayerChart:
    """A line a head, the highest at the last checkpoint in colour with its 95 % interval.

    Steps are spaced by their logarithm, step 0 included. width: of the figure in pixels, None for
    that of its container.
    """
    first, *others = [head.head.index for head in trend.heads]
    points = [
        {
            "head": head.head.index,
            "step": point.step,
            "value": point.value,
            "low": point.low,
            "high": point.high,
            "model": point.model,
        }
        for head in trend.heads
        for point in head.points
    ]
    shown = [point for head in trend.heads for point in head.points]
    steps = sorted({point.step for point in shown})
    data = inline(points)
    step = (
        alt.X("step:Q")
        .title("step of training")
        .scale(type="symlog", constant=max(steps[1] if len(steps) > 1 else 1, 1), nice=False)
        .axis(values=steps, labelExpr=_STEP_LABEL, labelOverlap="greedy", grid=False)
    )
    top = 1.0 if trend.score not in _UNBOUNDED else max(point.value for point in shown)
    highest = max(point.high or point.value for point in shown)
    limit = min(top, highest * 1.08) or 1.0
    value = (
        alt.Y("value:Q")
        .title(with_unit(trend.score))
        .scale(domain=[0, limit], nice=False)
        .axis(tickCount=5, format=".2~g")
    )
    colour = (
        alt.Color("head:N")
        .scale(domain=[first, *others], range=[theme.reference, *[theme.muted for _ in others]])
        .legend(None)
    )
    base = alt.Chart(data).encode(
        x=step,
        y=value,
        color=colour,
        opacity=alt.condition(alt.datum.head == first, alt.value(1), alt.value(0.55)),
        tooltip=[
            alt.Tooltip("head:N", title="head"),
            alt.Tooltip("step:Q", title="step", format=","),
            alt.Tooltip("value:Q", title=trend.score, format=".4f"),
            alt.Tooltip("low:Q", title="95 % low", format=".4f"),
            alt.Tooltip("high:Q", title="95 % high", format=".4f"),
            alt.Tooltip("model:N", title="model"),
        ],
    )
    interval = (
        alt.Chart(data)
        .transform_filter(alt.datum.head == first)
        .mark_area(opacity=0.25, color=theme.reference)
        .encode(x=step, y=alt.Y("low:Q"), y2="high:Q")
    )
    labels = (
        base.transform_filter(alt.FieldOneOfPredicate("head", _labelled(trend, limit)))
        .transform_filter(alt.datum.step == steps[-1])
        .mark_text(align="left", dx=5, fontSize=10)
        .encode(text="head:N")
    )
    layers = alt.LayerChart(
        layer=[
            interval,
            base.mark_line(strokeWidth=2),
            base.mark_point(filled=True, size=22),
            labels,
        ]
    )
    height = 230 if width is None else round(min(230, width * 0.55))
    chart = placed(layers, width=width, height=height, title=trend.title)
    description = f"Line chart. {trend.title}. Heads: {', '.join([first, *others])}."
    return themed(chart, theme, name=name, description=description)


def _labelled(trend: Trend, limit: float) -> list[str]:
    """The heads whose names have room beside their last point, the highest first."""
    found: list[str] = []
    lowest = math.inf
    for head in trend.heads:
        value = head.points[-1].value
        if lowest - value >= _ROOM * limit:
            found.append(head.head.index)
            lowest = value
    return found
