"""Charts of single heads: profiles along the prompt, and attention on one prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from reports.charts.theme import (
    LIGHT,
    Theme,
    inline,
    legend_columns,
    placed,
    squares,
    themed,
    weight_colour,
)
from reports.data.report import Pattern, Profile
from reports.data.wording import shortened, visible

_MASS_TITLE = "structural mass (share)"
_MOST_POINTS = 60
# Pixels that tokens as labels and the axis title take beside a pattern.
_AXIS = 84
# Names longer than this together do not fit beside each other.
_LEGEND_LENGTH = 28


def mass_axis_limit(profiles: Sequence[Profile]) -> float:
    """The top of the axis that fits some profiles, with some room above them."""
    highest = max(max(profile.mass) for profile in profiles)
    return min(1.0, max(0.05, round(highest * 1.08 + 0.005, 2)))


def profile_chart(
    profiles: Sequence[Profile],
    *,
    name: str,
    title: str,
    mass_limit: float,
    theme: Theme = LIGHT,
    width: int | None = None,
) -> alt.LayerChart:
    """One or two heads' structural mass along the prompt.

    mass_limit: top of the axis. width: of the figure in pixels, None for that of its container,
    as in all charts.
    """
    heads = [str(profile.head) for profile in profiles]
    values = [
        {
            "head": str(profile.head),
            "share": round((bin_ + 0.5) / len(profile.mass), 6),
            "mass": round(mass, 6),
            "queries": n_queries,
        }
        for profile in profiles
        for bin_, (mass, n_queries) in enumerate(zip(profile.mass, profile.n_queries, strict=True))
    ]
    columns: int | alt.ExprRef = legend_columns(heads)
    if width is not None:
        columns = 1 if sum(map(len, heads)) > _LEGEND_LENGTH else len(heads)
    legend = alt.Legend(
        title=None,
        orient="top",
        columns=columns,
        labelLimit=260,
        symbolSize=400,
        symbolType="stroke",
    )
    base = alt.Chart(inline(values)).encode(
        x=alt.X("share:Q")
        .title("position in the prompt (0 start, 1 end)")
        .scale(domain=[0, 1])
        .axis(values=[0, 0.25, 0.5, 0.75, 1], format=".2~f", grid=False),
        y=alt.Y("mass:Q")
        .title(_MASS_TITLE)
        .scale(domain=[0, mass_limit], nice=False)
        .axis(tickCount=5, format=".2~f"),
        color=alt.Color("head:N")
        .scale(domain=heads, range=[theme.reference, theme.other])
        .legend(legend),
        strokeDash=alt.StrokeDash("head:N")
        .scale(domain=heads, range=[[1, 0], [6, 3]])
        .legend(legend),
        tooltip=[
            alt.Tooltip("head:N", title="head"),
            alt.Tooltip("share:Q", title="middle of the bin", format=".3f"),
            alt.Tooltip("mass:Q", title="structural mass", format=".4f"),
            alt.Tooltip("queries:Q", title="queries in the bin"),
        ],
    )
    size = 28 if len(values) <= len(profiles) * _MOST_POINTS else 0
    layers = alt.LayerChart(
        layer=[
            base.mark_line(strokeWidth=2.2),
            base.mark_point(filled=True, opacity=1, size=size).encode(strokeDash=alt.value([1, 0])),
        ]
    )
    height = 230 if width is None else round(min(230, width * 0.55))
    chart = placed(layers, width=width, height=height, title=title)
    return themed(
        chart, theme, name=name, description=f"Line chart. {title}. Heads: {', '.join(heads)}."
    )


def pattern_chart(
    pattern: Pattern,
    *,
    name: str,
    title: str | None = None,
    theme: Theme = LIGHT,
    width: int | None = None,
) -> alt.Chart:
    """A head's attention on one prompt: query rows, key columns, tokens on both axes.

    title: None for how much of it goes to structural tokens.
    """
    n_tokens = len(pattern.tokens)
    share = f"{pattern.structural_share:.0%}"
    title = title or f"{pattern.head}: {share} of its attention goes to structural tokens"
    values = [
        {
            "query": query,
            "key": list(range(len(weights))),
            "weight": [round(weight, 4) for weight in weights],
        }
        for query, weights in enumerate(pattern.weights)
    ]
    tokens = [visible(token.text) for token in pattern.tokens]
    # Pixels a token: cells are squares in a figure, and all labels are legible on a page.
    step = min(max(round(520 / n_tokens), 9), 28) if width is None else (width - _AXIS) / n_tokens
    axis: dict[str, Any] = {
        # The position makes the place on the axis, so that equal tokens stay apart.
        "labelExpr": "token_labels[datum.value]",
        **({} if width is None else {"labelFontSize": min(11, max(step - 1, 7))}),
        "labelFontWeight": _if_structural("bold", "normal"),
        "labelColor": _if_structural(theme.ink, theme.muted),
        "labelLimit": 90,
        "labelOverlap": True,
        "ticks": False,
        "domain": False,
        "grid": False,
    }
    scale = alt.Scale(domain=list(range(n_tokens)), paddingInner=0.06, paddingOuter=0)
    cells = (
        alt.Chart(inline(values))
        .transform_flatten(["key", "weight"])
        .transform_calculate(
            query_token="tokens[datum.query] + '  (position ' + datum.query + ')'",
            key_token="tokens[datum.key] + '  (position ' + datum.key + ')'",
        )
        .mark_rect(aria=False)
        .encode(
            x=alt.X("key:O", scale=scale)
            .title("key: the token looked at")
            .axis(labelAngle=-90, **axis),
            y=alt.Y("query:O", scale=scale).title("query: the token that looks").axis(**axis),
            color=weight_colour(theme, "attention weight"),
            tooltip=[
                alt.Tooltip("query_token:N", title="query"),
                alt.Tooltip("key_token:N", title="key"),
                alt.Tooltip("weight:Q", title="weight", format=".4f"),
            ],
        )
        .add_params(
            alt.param(name="tokens", value=tokens),
            alt.param(
                name="token_labels", value=[shortened(token.text) for token in pattern.tokens]
            ),
            alt.param(name="structural", value=[token.is_structural for token in pattern.tokens]),
        )
    )
    chart: alt.Chart = placed(cells, width=width, height=round(step * n_tokens), title=title)
    if width is None:
        chart = squares(chart, n_tokens, n_tokens, beside=_AXIS, has_labels=True)
    description = f"Heat map of {n_tokens} by {n_tokens} tokens. {title}."
    return themed(chart, theme, name=name, description=description)


def _if_structural(value: str, otherwise: str) -> dict[str, Any]:
    test = {"test": "structural[datum.value]", "value": value}
    return {"condition": test, "value": otherwise}
