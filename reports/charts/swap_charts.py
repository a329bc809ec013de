"""Charts of matches: where a cosine stands against chance, and which head went where."""

from __future__ import annotations

import json
from typing import Any, Literal

import altair as alt

from reports.charts.choices import CHOSEN, nearest_title
from reports.charts.theme import (
    LIGHT,
    Theme,
    inline,
    inline_text,
    legend_columns,
    placed,
    themed,
)
from reports.data.report import Claim, CosineMatrix, Head, Pair
from reports.data.verdicts import p_text
from reports.data.wording import COMPARED, compared_by, digits_apart

# Of the heads of the other model, those that are most like the chosen one.
_N_NEAREST = 10
# Pixels in which the kinds of matches fit beside each other.
_LEGEND_WIDTH = 420
# From this many heads on, only matches beyond chance are drawn until all are asked for.
_MANY_HEADS = 144
# Pixels of a line of the chance chart, and how far its point stands below its middle.
_LINES, _BELOW = 52, 10


def chance_chart(
    claim: Claim, *, name: str, level: float, theme: Theme = LIGHT, width: int | None = None
) -> alt.LayerChart:
    """The claim's cosines on one axis, the match's interval, and what chance gives as a band.

    level: p values at most this high are beyond chance.
    """
    match, chance = claim.match, claim.chance
    digits = digits_apart(claim.cosines)
    low, high = claim.interval or (None, None)
    values: list[dict[str, Any]] = [
        {
            "pair": f"match {match.head.index} ↔ {match.best.index}",
            "kind": "match",
            "cosine": match.cosine,
            "low": low,
            "high": high,
        }
    ]
    if claim.is_moved and claim.is_one_shape:
        values += [
            {"pair": f"same index {head.index}", "kind": "same index", "cosine": cosine}
            for head, cosine in (
                (match.head, claim.same_index_reference),
                (match.best, claim.same_index_match),
            )
            if cosine is not None
        ]
    least = min(*claim.cosines, *(claim.interval or ()), chance.mean)
    floor = 0.0 if least >= 0 else -1.0
    most = max(*claim.cosines, *(claim.interval or ()), chance.high)
    reach = most - least or 1 - least or 1.0
    domain = [max(floor, round(least - reach * 0.15, 3)), min(1.0, round(most + reach * 0.15, 3))]
    x = alt.X("cosine:Q").scale(domain=domain, nice=False, zero=False)
    x = x.title(f"cosine of two {COMPARED[claim.similarity]}")
    y = alt.Y("pair:N").sort([row["pair"] for row in values]).axis(None)
    colour = alt.Color("kind:N", legend=None).scale(
        domain=["match", "same index"], range=[theme.other, theme.ink]
    )
    band = [{"from": chance.mean, "to": chance.high, "what": "best match by chance"}]
    tooltip = [
        alt.Tooltip("from:Q", title="mean best match by chance", format=".4f"),
        alt.Tooltip("to:Q", title="5 % of chance is above", format=".4f"),
    ]
    bands = (
        alt.Chart(inline(band))
        .mark_rect(color=theme.muted, opacity=0.28)
        .encode(x="from:Q", x2="to:Q", tooltip=tooltip)
    )
    base = alt.Chart(inline(values)).encode(y=y, color=colour)
    intervals = base.transform_filter("isValid(datum.low)").mark_rule(
        strokeWidth=3, opacity=0.5, yOffset=_BELOW
    )
    points = base.mark_point(filled=True, opacity=1, size=110, yOffset=_BELOW).encode(
        x=x,
        tooltip=[
            alt.Tooltip("pair:N", title="pair"),
            alt.Tooltip("cosine:Q", format=".4f"),
            alt.Tooltip("low:Q", title="95 % from", format=".4f"),
            alt.Tooltip("high:Q", title="to", format=".4f"),
        ],
    )
    # Name and number stand above the point, at the chart's edges: beside it they would leave it no
    # room in a narrow window.
    written: dict[str, Any] = {"dy": -_BELOW - 2, "fontSize": 12, "fontWeight": 600}
    names = base.mark_text(align="left", **written).encode(x=alt.value(4), text="pair:N")
    numbers = base.mark_text(align="right", dx=-4, **written).encode(
        x=alt.value("width"), text=alt.Text("cosine:Q", format=f".{digits}f")
    )
    layers = alt.LayerChart(
        layer=[bands, intervals.encode(x="low:Q", x2="high:Q"), points, names, numbers]
    )
    pair_name = f"{match.head} ↔ {match.best}"
    if match.p_value is None:
        standing = "above" if match.cosine > chance.high else "within"
        if match.cosine < chance.mean:
            standing = "below the mean of"
        title = f"{pair_name}: {standing} what chance gives, not tested"
    else:
        beyond = "beyond chance" if match.p_value <= level else "not beyond chance"
        title = f"{pair_name}: {beyond} ({p_text(match.p_value)})"
    title += " (grey: chance, its mean to 5 % above)"
    chart = placed(layers, width=width, height=_LINES * len(values), title=title)
    return themed(chart, theme, name=name, description=f"Dot chart of cosines. {title}.")


def migration_chart(
    pair: Pair, *, name: str, level: float, theme: Theme = LIGHT, width: int | None = None
) -> alt.LayerChart:
    """A line from every head of one model to its best match in the other.

    A head that is chosen on the page stands out. level: p
    values at most this high are beyond chance: of many heads only these are drawn at first.
    """
    heads_a, heads_b = pair.matrix.heads_a, pair.matrix.heads_b
    model_a, model_b = heads_a[0].model, heads_b[0].model
    rows_a, rows_b = _places(heads_a), _places(heads_b)
    values = [
        {
            "row": heads_a.index(match.head),
            "a": rows_a[match.head],
            "b": rows_b[match.best],
            "from": match.head.index,
            "to": match.best.index,
            "cosine": match.cosine,
            "kind": _kind(match.is_same_index, match.is_mutual, pair.claim.is_one_shape),
            "beyond": match.p_value is None or match.p_value <= level,
        }
        for match in sorted(pair.ranking, key=lambda match: heads_a.index(match.head))
    ]
    title = _map_title(pair, level)
    kinds = list(_KINDS[pair.claim.is_one_shape])
    is_many = max(len(heads_a), len(heads_b)) >= _MANY_HEADS
    box = alt.binding_checkbox(name="also matches within chance ") if is_many else alt.Undefined
    shows_all = alt.param(name="shows_all", value=not is_many, bind=box)
    columns: int | alt.ExprRef = 1 if width is not None and width < _LEGEND_WIDTH else len(kinds)
    if width is None:
        columns = legend_columns(kinds)
    y = alt.Y("a:Q").scale(domain=[1, 0], nice=False).axis(None)
    is_chosen = f"{CHOSEN} === datum.row"
    lines = (
        alt.Chart(inline(values))
        .transform_filter(f"datum.beyond || shows_all || {is_chosen}")
        .mark_rule(cursor="pointer")
        .encode(
            x=alt.XDatum(0).scale(domain=[-0.16, 1.16], nice=False).axis(None),
            x2=alt.X2Datum(1),
            y=y,
            y2="b:Q",
            color=alt.Color("kind:N")
            .scale(domain=kinds, range=[theme.muted, theme.other, theme.reference][-len(kinds) :])
            .legend(
                title=None,
                orient="top",
                symbolType="stroke",
                symbolSize=300,
                offset=42,
                columns=columns,
            ),
            opacity=alt.condition(is_chosen, alt.value(1), alt.value(0.55)),
            strokeWidth=alt.condition(is_chosen, alt.value(4), alt.value(1.6)),
            tooltip=[
                alt.Tooltip("from:N", title=model_a),
                alt.Tooltip("to:N", title=model_b),
                alt.Tooltip("cosine:Q", format=".4f"),
                alt.Tooltip("kind:N", title="match"),
            ],
        )
        .add_params(alt.param(name=CHOSEN, value=-1), shows_all)
    )
    sides: list[tuple[str, dict[Head, float], int, Literal["left", "right"], int]] = [
        (model_a, rows_a, 0, "right", -6),
        (model_b, rows_b, 1, "left", 6),
    ]
    names = []
    for model, places, side, align, dx in sides:
        rows = (
            {"head": head.index, "a": height, "place": head.place}
            for head, height in places.items()
        )
        text = alt.Chart(inline(rows)).mark_text(
            align=align, dx=dx, fontSize=10, color=theme.ink, cursor="pointer"
        )
        names.append(text.encode(x=alt.XDatum(side), y=y, text="head:N"))
        # One above the other: each may take the whole width.
        text = alt.Chart(inline([{"model": model, "a": 0}])).mark_text(
            align="right" if side else "left",
            dy=-14 if side else -29,
            fontSize=12,
            fontWeight=600,
            color=theme.ink,
        )
        edge = alt.value("width" if side else 0)
        names.append(text.encode(x=edge, y=y, text="model:N"))
    height = max(len(heads_a), len(heads_b)) * 13
    chart = placed(alt.LayerChart(layer=[lines, *names]), width=width, height=height, title=title)
    return themed(chart, theme, name=name, description=f"Lines between two columns. {title}.")


# By whether the models are of one shape, so that an index means something in both.
_KINDS = {True: ("same index", "moved, mutual", "moved, one way"), False: ("mutual", "one way")}


def _kind(is_same_index: bool, is_mutual: bool, is_one_shape: bool) -> str:
    if is_same_index and is_one_shape:
        return _KINDS[True][0]
    return _KINDS[is_one_shape][-2 if is_mutual else -1]


def _map_title(pair: Pair, level: float) -> str:
    """The verdict; where the similarity is not tested, only what is drawn."""
    model_a, model_b = pair.matrix.heads_a[0].model, pair.matrix.heads_b[0].model
    compared = compared_by(pair.claim.similarity)
    tested = [match.p_value for match in pair.ranking if match.p_value is not None]
    if not tested:
        return f"The most alike head of {model_b} for each of {model_a}, not tested{compared}"
    n_beyond = sum(p_value <= level for p_value in tested)
    return (
        f"{n_beyond} of {len(pair.matrix.heads_a)} heads of {model_a} have a counterpart in "
        f"{model_b} beyond chance{compared}"
    )


def _places(heads: tuple[Head, ...]) -> dict[Head, float]:
    """Where each head stands from top to bottom, 0 to 1, with a gap before each layer."""
    steps: list[float] = []
    for number, head in enumerate(heads):
        gap = 0.6 if number and head.layer != heads[number - 1].layer else 0.0
        steps.append(steps[-1] + 1 + gap if steps else 0.0)
    last = steps[-1] or 1.0
    return {head: round(step / last, 5) for head, step in zip(heads, steps, strict=True)}


def nearest_chart(
    matrix: CosineMatrix,
    reference: Head,
    *,
    name: str,
    theme: Theme = LIGHT,
    width: int | None = None,
) -> alt.Chart:
    """The heads of the other model that are most like the chosen head: at first the reference."""
    model_b = matrix.heads_b[0].model
    values = [
        {
            "row": row,
            "cosine": [None if cosine is None else round(cosine, 4) for cosine in cosines],
        }
        for row, cosines in enumerate(matrix.cosines)
    ]
    n_shown = n_nearest(matrix)
    dots: alt.Chart = (
        alt.Chart(inline_text(values))
        .transform_filter(f"datum.row === {CHOSEN}")
        .transform_calculate(column=f"sequence({len(matrix.heads_b)})")
        .transform_flatten(["column", "cosine"])
        .transform_filter("isValid(datum.cosine)")
        .transform_window(rank="row_number()", sort=[{"field": "cosine", "order": "descending"}])
        .transform_filter(f"datum.rank <= {n_shown}")
        .transform_calculate(
            pair="heads_a[datum.row] + ' ↔ ' + heads_b[datum.column]",
            place=f"{json.dumps(model_b)} + ':' + heads_b[datum.column]",
            line="heads_b[datum.column] + '   ' + format(datum.cosine, '.4f')",
        )
        # Dots, for the axis is cut to the cosines that are shown: bars would have to start at 0,
        # where most of these end within the width of a line.
        .mark_point(filled=True, opacity=1, size=90, cursor="pointer")
        .encode(
            y=alt.Y("line:N")
            .sort(field="rank")
            .title(None)
            .axis(domain=False, ticks=False, grid=True, labelFontSize=11, labelLimit=0),
            x=alt.X("cosine:Q")
            .scale(zero=False, nice=True, padding=12)
            .axis(tickCount=5, grid=False, labelOverlap="greedy")
            .title(
                [f"cosine of two {COMPARED[matrix.similarity]}", "(axis cut to the values shown)"]
            ),
            color=alt.condition(
                "datum.rank === 1", alt.value(theme.other), alt.value(theme.reference)
            ),
            tooltip=[
                alt.Tooltip("pair:N", title="pair"),
                alt.Tooltip("cosine:Q", format=".4f"),
                alt.Tooltip("rank:Q", title="rank"),
            ],
        )
        .add_params(
            alt.param(name=CHOSEN, value=matrix.heads_a.index(reference)),
            alt.param(name="heads_a", value=[head.index for head in matrix.heads_a]),
            alt.param(name="heads_b", value=[head.index for head in matrix.heads_b]),
        )
    )
    title = nearest_title(n_shown, model_b, reference)
    chart: alt.Chart = placed(dots, width=width, height=24 * n_shown, title=title)
    return themed(chart, theme, name=name, description=f"Dot chart. {title}.")


def n_nearest(matrix: CosineMatrix) -> int:
    """How many heads are shown as the most alike ones."""
    return min(_N_NEAREST, len(matrix.heads_b))
