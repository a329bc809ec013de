"""Charts of what heads do: all heads of a model, one beside all others, classes layer by layer."""

from __future__ import annotations

import math
from typing import Any

import altair as alt

from reports.charts.theme import LIGHT, Theme, inline, legend_columns, placed, themed
from reports.data.effect_wording import effect_sentence, grid_title, readout_title
from reports.data.effects import Ablated, Readout, Work
from reports.data.report import Head

# Numbers are written into the squares of a grid that has room for them.
_MOST_NUMBERED = (8, 30)  # heads a layer, layers
# From this share of the strongest colour on, numbers are as pale as the paper.
_STRONG = 0.6
# Of a square, and of a whole grid at the most, in pixels.
_SQUARE, _TALLEST = 34, 640


def effects_chart(
    ablated: Ablated, marked: Head | None, *, name: str, theme: Theme = LIGHT
) -> alt.LayerChart:
    """What ablating each head changes in the loss: a square a head, layers from top to bottom.

    marked: a head with a frame, None for none. The colours are centred at no change. A head that is
    not ablated has no square.
    """
    limit = max(abs(effect.loss_nats) for effect in ablated.heads) or 1.0
    # As many decimals as tell the largest change to three digits.
    digits = max(2 - math.floor(math.log10(limit)), 0)
    rows = [
        {
            "layer": effect.head.layer,
            "head": effect.head.head,
            "name": effect.head.index,
            "place": effect.head.place,
            "change": round(effect.loss_nats, 6),
            "low": effect.low,
            "high": effect.high,
            "kl": round(effect.kl_nats, 6),
            "rank": effect.rank,
            "label": _label(effect.loss_nats, digits),
            "strong": abs(effect.loss_nats) > _STRONG * limit,
        }
        for effect in sorted(ablated.heads, key=lambda effect: tuple(vars(effect.head).values()))
    ]
    x = alt.X("head:O").title("head").scale(domain=list(range(ablated.n_heads)))
    y = alt.Y("layer:O").title("layer").scale(domain=list(range(ablated.n_layers)))
    base = alt.Chart(inline(rows)).encode(
        x=x.axis(orient="top", labelAngle=0, domain=False, ticks=False, grid=False),
        y=y.axis(domain=False, ticks=False, grid=False),
    )
    squares = base.mark_rect(stroke=theme.grid, strokeWidth=1, cursor="pointer").encode(
        color=alt.Color("change:Q")
        .scale(
            domain=[-limit, 0, limit],
            range=[theme.reference, theme.paper, theme.other],
            interpolate="rgb",
        )
        .legend(
            title="change of the loss (nats)",
            orient="bottom",
            gradientLength=240,
            gradientThickness=10,
            tickCount=3,
            format="+.2~g",
        ),
        tooltip=[
            alt.Tooltip("name:N", title="head"),
            alt.Tooltip("change:Q", title="change of the loss (nats)", format="+.4f"),
            alt.Tooltip("low:Q", title="95 % low", format="+.4f"),
            alt.Tooltip("high:Q", title="95 % high", format="+.4f"),
            alt.Tooltip("kl:Q", title="divergence (nats)", format=".4f"),
            alt.Tooltip("rank:Q", title="rank"),
        ],
    )
    layers = [squares]
    if ablated.n_heads <= _MOST_NUMBERED[0] and ablated.n_layers <= _MOST_NUMBERED[1]:
        layers.append(
            base.mark_text(fontSize=10, cursor="pointer").encode(
                text="label:N",
                color=alt.condition("datum.strong", alt.value(theme.paper), alt.value(theme.ink)),
            )
        )
    if marked is not None:
        frame = base.transform_filter(
            (alt.datum.layer == marked.layer) & (alt.datum.head == marked.head)
        )
        layers.append(frame.mark_rect(filled=False, stroke=theme.ink, strokeWidth=2.5))
    text = grid_title(ablated)
    height = min(_SQUARE * ablated.n_layers, _TALLEST)
    chart = placed(alt.LayerChart(layer=layers), width=None, height=height, title=text)
    description = f"Heat map of {len(rows)} heads by layer. {text}."
    return themed(chart, theme, name=name, description=description)


def _label(change: float, digits: int) -> str:
    """A change as a square shows it.

    >>> _label(-0.0321, 3), _label(0.0001, 3)
    ('−0.032', '0')
    """
    shown = round(change, digits)
    return f"{shown:+.{digits}f}".replace("-", "−") if shown else "0"


def strip_chart(work: Work, *, name: str, theme: Theme = LIGHT) -> alt.LayerChart:
    """The reference head and its match, each beside all other ablated heads of its model."""
    marked = (work.head, work.match)
    changes = [effect.loss_nats for found in (work.mine, work.theirs) for effect in found.heads]
    middle = (min(changes) + max(changes)) / 2
    rows = [
        {
            "model": found.model,
            "name": str(effect.head),
            "place": effect.head.place,
            "change": round(effect.loss_nats, 6),
            "is_right": effect.loss_nats > middle,
            "role": role if effect.head in marked else "other heads",
        }
        for found, role in ((work.mine, "reference"), (work.theirs, "match"))
        for effect in found.heads
    ]
    base = alt.Chart(inline(rows)).encode(
        x=alt.X("change:Q")
        .title("change of the loss when a head is ablated (nats)")
        .axis(tickCount=6),
        y=alt.Y("model:N").sort([work.head.model, work.other]).axis(None),
        color=alt.Color("role:N", legend=None).scale(
            domain=["reference", "match", "other heads"],
            range=[theme.reference, theme.other, theme.muted],
        ),
        tooltip=[
            alt.Tooltip("name:N", title="head"),
            alt.Tooltip("change:Q", title="change of the loss (nats)", format="+.4f"),
        ],
    )
    is_other = alt.datum.role == "other heads"
    linked: dict[str, Any] = {"cursor": "pointer"}
    ticks = base.transform_filter(is_other).mark_tick(opacity=0.6, size=22, thickness=1.5, **linked)
    own = base.transform_filter(~is_other)
    # A name reaches to the side where there is room; the models' names stand above their lines.
    labels = own.mark_text(
        dy=28,
        fontSize=11,
        fontWeight=600,
        align=alt.ExprRef("datum.is_right ? 'right' : 'left'"),
        **linked,
    ).encode(text="name:N")
    models = (
        base.transform_aggregate(groupby=["model"])
        .mark_text(align="left", dy=-28, fontSize=12)
        .encode(x=alt.value(0), text="model:N", color=alt.value(theme.ink), tooltip=alt.value(None))
    )
    marks = own.mark_tick(size=34, thickness=4, **linked)
    layers = alt.LayerChart(layer=[ticks, marks, labels, models])
    text = effect_sentence(work) or f"Ablating {work.head}, beside the other heads"
    chart = placed(layers, width=None, height=170, title=text.partition(" (")[0])
    return themed(chart, theme, name=name, description=f"Strip chart of heads. {text}.")


def readout_chart(
    readout: Readout, reference: str, *, name: str, theme: Theme = LIGHT
) -> alt.LayerChart:
    """A class of tokens where steps begin: how probable it is after each layer, a line a model."""
    models = list(readout.n_positions)
    others = [model for model in models if model != reference]
    shades = [theme.other, *(theme.muted for _ in others[1:])][: len(others)]
    rows: list[dict[str, Any]] = [
        {
            "model": point.model,
            "layer": point.layer,
            "probability": round(point.probability, 6),
        }
        for point in readout.points
    ]
    shown = [reference, *others] if reference in models else others
    colours = [theme.reference, *shades] if reference in models else shades
    last_layer = max(point.layer for point in readout.points)
    legend: dict[str, Any] = {"orient": "top", "title": None, "labelLimit": 240}
    legend["columns"] = legend_columns(shown)
    base = alt.Chart(inline(rows)).encode(
        x=alt.X("layer:Q")
        .title("read out after layer")
        .scale(domain=[0, last_layer or 1], nice=False)
        .axis(values=list(range(last_layer + 1)), format="d", grid=False, labelOverlap="greedy"),
        y=alt.Y("probability:Q").title("mean probability").axis(tickCount=5, format=".2~g"),
        color=alt.Color("model:N").scale(domain=shown, range=colours).legend(**legend),
        strokeDash=alt.StrokeDash("model:N").scale(domain=shown).legend(**legend),
        tooltip=[
            alt.Tooltip("model:N", title="model"),
            alt.Tooltip("layer:Q", title="layer"),
            alt.Tooltip("probability:Q", title="mean probability", format=".6f"),
        ],
    )
    layers = alt.LayerChart(
        layer=[base.mark_line(strokeWidth=2), base.mark_point(filled=True, size=28)]
    )
    text = readout_title(readout)
    chart = placed(layers, width=None, height=230, title=text)
    return themed(chart, theme, name=name, description=f"Line chart. {text}.")
