"""Charts of all heads against all heads: the matrix of cosines, and how they are distributed.

Most raw cosines lie near 1. Both charts are therefore spaced by the angle between two heads'
vectors, the arc cosine, and labelled with the cosine: 0.99 and 0.95 are as far apart as they look.
Where all angles are wide, as of whitened contents, the scale starts at the smallest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import altair as alt

from reports.charts.choices import (
    CHOSEN,
    MATCH,
    SAME_INDEX,
    SAME_INDEX_BACK,
    Mark,
    distribution_title,
    marks,
    matrix_title,
)
from reports.charts.theme import (
    LIGHT,
    Theme,
    inline,
    inline_text,
    placed,
    sequential,
    squares,
    themed,
)
from reports.data.report import Claim, CosineMatrix, Head, Match
from reports.data.wording import COMPARED

_NICE_COSINES = (
    *(1, 0.999, 0.995, 0.99, 0.98, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1),
    *(0.08, 0.06, 0.04, 0.02, 0, -0.02, -0.04, -0.06, -0.08),
    *(-0.1, -0.2, -0.4, -0.6, -0.8, -1),
)
_COSINE_LABEL = "format(cos(datum.value * PI / 180), '.3~f')"
_N_BARS = 45
# Of all pairs, the share that is least alike and gets the palest colour: it would else take most
# of the scale.
_CLAMPED_SHARE = 0.02
# Pixels that the layers' names and the axis title take beside a matrix.
_AXIS = 52
# Pixels that a matrix is high at the most.
_TALLEST = 640
# The colours' legend fits a narrow window.
_GRADIENT = alt.ExprRef(f"min(320, containerSize()[0] - {_AXIS + 20})")
# The match, the pair of its head's own index, the pair of the match's.
_DASHES = [[1, 0], [1, 0], [5, 3]]


def angle_of(cosine: float) -> float:
    """The angle in degrees between two profiles of that cosine.

    >>> angle_of(1), round(angle_of(0.5), 6), round(angle_of(0), 6)
    (0.0, 60.0, 90.0)
    """
    return math.degrees(math.acos(min(1.0, max(-1.0, cosine))))


def distribution_chart(
    matrix: CosineMatrix,
    claim: Claim,
    *,
    name: str,
    theme: Theme = LIGHT,
    width: int | None = None,
    ranking: Sequence[Match] = (),
) -> alt.LayerChart:
    """How many pairs of heads are how alike, with the cosines of the chosen head marked.

    ranking: the match of every head that a page may choose; none for the claim's head alone.
    """
    angles = sorted(angle_of(round(value, 6)) for value in matrix.defined)
    limit = _axis_limit(angles)
    first = _axis_start(angles, limit)
    step = (limit - first) / _N_BARS
    counts = [0] * _N_BARS
    for angle in angles:
        counts[min(int((angle - first) / step), _N_BARS - 1)] += 1
    values = []
    for index, count in enumerate(counts):
        start, end = first + index * step, first + (index + 1) * step
        values.append(
            {
                "start": round(start, 6),
                "end": round(end, 6),
                "pairs": count,
                "range": f"{_cosine(end)} to {_cosine(start)}",
            }
        )
    title = distribution_title(matrix, claim.match)
    axis_scale = alt.Scale(domain=[first, limit], reverse=True, nice=False)
    bars = (
        alt.Chart(inline(values))
        .mark_bar(stroke=theme.paper, strokeWidth=0.5)
        .encode(
            x=alt.X("start:Q", scale=axis_scale, bin="binned")
            .title(f"cosine of two {COMPARED[matrix.similarity]} (spaced by angle)")
            .axis(values=_ticks(limit, first), labelExpr=_COSINE_LABEL, grid=False),
            x2="end:Q",
            y=alt.Y("pairs:Q")
            .title("pairs of heads (number)")
            .scale(domain=[0, max(counts) * 1.05], nice=False)
            .axis(tickCount=4, format="~s"),
            fill=alt.Fill("start:Q", legend=None).scale(
                **sequential(theme, domain=[_colour_limit(angles), first], clamp=True)
            ),
            tooltip=[
                alt.Tooltip("range:N", title="cosine"),
                alt.Tooltip("pairs:Q", title="pairs", format=","),
            ],
        )
    )
    lines = _lines(marks(matrix, ranking or (claim.match,), claim.is_one_shape), limit, theme)
    layered = alt.LayerChart(
        layer=[bars, lines.encode(x=alt.X("angle:Q", scale=axis_scale))]
    ).add_params(*_chosen(matrix, claim.match.head))
    height = 340 if width is None else round(min(340, width * 0.7))
    chart: alt.LayerChart = placed(layered, width=width, height=height, title=title)
    return themed(chart, theme, name=name, description=f"Histogram. {title}.")


def _lines(found: Sequence[Mark], limit: float, theme: Theme) -> alt.Chart:
    """A line at each cosine that is marked for the chosen head; the legend says which is which.

    Names in the chart itself would lie across the lines of others, wherever these happen to be.
    """
    labels: dict[int, dict[str, str]] = {}
    for mark in found:
        labels.setdefault(mark.row, {})[mark.kind] = mark.label
    rows = [
        {
            "row": mark.row,
            "kind": mark.kind,
            "label": mark.label,
            "angle": round(min(angle_of(round(mark.cosine, 6)), limit), 6),
        }
        for mark in found
    ]
    legend = alt.Legend(
        title=None,
        orient="top",
        columns=1,
        labelLimit=0,
        symbolType="stroke",
        symbolSize=400,
        values=alt.ExprRef(f"mark_kinds[{CHOSEN}]"),
        labelExpr=f"mark_labels[{CHOSEN}][datum.value]",
    )
    kinds = [MATCH, SAME_INDEX, SAME_INDEX_BACK]
    colour = alt.Color("kind:N", legend=legend).scale(
        domain=kinds, range=[theme.other, theme.ink, theme.ink]
    )
    dash = alt.StrokeDash("kind:N", legend=legend).scale(domain=kinds, range=_DASHES)
    by_row = [labels.get(row, {}) for row in range(max(labels) + 1)]
    lines: alt.Chart = (
        alt.Chart(inline(rows))
        .transform_filter(f"datum.row === {CHOSEN}")
        .mark_rule(strokeWidth=2.5)
        .encode(color=colour, strokeDash=dash, tooltip=alt.Tooltip("label:N", title="pair"))
        .add_params(
            alt.param(name="mark_labels", value=by_row),
            alt.param(name="mark_kinds", value=[list(row) for row in by_row]),
        )
    )
    return lines


def _chosen(matrix: CosineMatrix, head: Head) -> list[alt.Parameter]:
    """The head that is chosen, at first the given one."""
    return [alt.param(name=CHOSEN, value=matrix.heads_a.index(head))]


def matrix_chart(
    matrix: CosineMatrix,
    claim: Claim,
    *,
    name: str,
    theme: Theme = LIGHT,
    width: int | None = None,
    ranking: Sequence[Match] = (),
) -> alt.LayerChart:
    """The cosine of every head of one model with every head of another, the chosen pairs framed.

    ranking: as in `distribution_chart`.
    """
    match = claim.match
    model_a, model_b = match.head.model, match.best.model
    n_a, n_b = len(matrix.heads_a), len(matrix.heads_b)
    angles = sorted(angle_of(round(value, 6)) for value in matrix.defined)
    limit = _colour_limit(angles)
    first = _axis_start(angles, limit)
    values = [
        {
            "row": row,
            "column": list(range(n_b)),
            "cosine": [None if cosine is None else round(cosine, 4) for cosine in cosines],
        }
        for row, cosines in enumerate(matrix.cosines)
    ]
    x = alt.X("column:Q", scale=alt.Scale(domain=[0, n_b], nice=False))
    y = alt.Y("row:Q", scale=alt.Scale(domain=[0, n_a], nice=False, reverse=True))
    x = x.title(f"{model_b}: layer, head by head").axis(_layer_axis(matrix.heads_b, theme))
    y = y.title(f"{model_a}: layer, head by head").axis(_layer_axis(matrix.heads_a, theme))
    cells = (
        alt.Chart(inline_text(values))
        .transform_flatten(["column", "cosine"])
        # A cosine that is undefined leaves its cell empty.
        .transform_filter("isValid(datum.cosine)")
        .transform_calculate(
            angle="acos(min(1, datum.cosine)) * 180 / PI",
            column_end="datum.column + 1",
            row_end="datum.row + 1",
            head_a="heads_a[datum.row]",
            head_b="heads_b[datum.column]",
        )
        .mark_rect(aria=False)
        .encode(
            x=x,
            x2="column_end:Q",
            y=y,
            y2="row_end:Q",
            color=alt.Color("angle:Q")
            .scale(**sequential(theme, domain=[limit, first], clamp=True))
            .legend(
                title=f"cosine of two {COMPARED[matrix.similarity]} (spaced by angle)",
                orient="top",
                values=_ticks(limit, first),
                labelExpr=_COSINE_LABEL,
                gradientLength=_GRADIENT if width is None else min(320, width - _AXIS - 20),
                gradientThickness=10,
                offset=4,
            ),
            tooltip=[
                alt.Tooltip("head_a:N", title=model_a),
                alt.Tooltip("head_b:N", title=model_b),
                alt.Tooltip("cosine:Q", title="cosine", format=".4f"),
            ],
        )
    )
    plot_width = 460 if width is None else width - _AXIS
    layers = [
        cells,
        _layer_lines(matrix.heads_b, "x", theme),
        _layer_lines(matrix.heads_a, "y", theme),
        *_frames(matrix, claim, ranking, theme, cell=plot_width / n_b),
    ]
    title = matrix_title(match, claim.spread.median)
    chart = alt.LayerChart(layer=layers).add_params(
        *_chosen(matrix, match.head),
        alt.param(name="heads_a", value=[head.index for head in matrix.heads_a]),
        alt.param(name="heads_b", value=[head.index for head in matrix.heads_b]),
    )
    height = min(max(round(plot_width * n_a / n_b), 200), _TALLEST)
    chart = placed(chart, width=width, height=height, title=title)
    if width is None:
        chart = squares(chart, n_b, n_a, beside=_AXIS, tallest=_TALLEST)
    description = f"Heat map of the cosines of {n_a} by {n_b} heads. {title}."
    return themed(chart, theme, name=name, description=description)


def _frames(
    matrix: CosineMatrix, claim: Claim, ranking: Sequence[Match], theme: Theme, *, cell: float
) -> list[alt.Chart]:
    """Frames around the chosen head's match and, dashed, around the pair of its own index.

    cell: about how many pixels a cell measures; a frame leaves the inside of a small one seen.
    """
    found = marks(matrix, ranking or (claim.match,), claim.is_one_shape)
    thickness = 2.5 if cell >= 9 else 1.2
    framed = {
        MATCH: (theme.other, [1, 0]),
        SAME_INDEX: (theme.ink, [3, 2] if cell >= 9 else [2, 1]),
    }
    charts = []
    for kind, (colour, dash) in framed.items():
        columns = {m.row: matrix.heads_b.index(m.head_b) for m in found if m.kind == kind}
        rows = [
            {"row": row, "x": column, "x_end": column + 1, "y": row, "y_end": row + 1}
            for row, column in columns.items()
        ]
        charts.append(
            alt.Chart(inline(rows))
            .transform_filter(f"datum.row === {CHOSEN}")
            .mark_rect(
                filled=False, stroke=colour, strokeWidth=thickness, strokeDash=dash, tooltip=False
            )
            .encode(x="x:Q", x2="x_end:Q", y="y:Q", y2="y_end:Q")
        )
    return charts


def _layer_lines(heads: tuple[Head, ...], channel: str, theme: Theme) -> alt.Chart:
    starts = [{"at": start} for start, _ in _layer_spans(heads) if start]
    lines: alt.Chart = alt.Chart(inline(starts)).mark_rule(color=theme.paper, strokeWidth=1.5)
    lines = lines.encode(x="at:Q") if channel == "x" else lines.encode(y="at:Q")
    return lines


def _layer_axis(heads: tuple[Head, ...], theme: Theme) -> alt.Axis:
    """An axis that names each layer at its middle."""
    spans = _layer_spans(heads)
    return alt.Axis(
        values=[(start + end) / 2 for start, end in spans],
        # Layers may differ in the number of their heads, so the places are looked up.
        labelExpr=f"'L' + indexof({[(start + end) / 2 for start, end in spans]}, datum.value)",
        ticks=False,
        grid=False,
        domain=False,
        labelColor=theme.muted,
        labelOverlap=True,
    )


def _layer_spans(heads: tuple[Head, ...]) -> list[tuple[int, int]]:
    """Where the heads of each layer start and end."""
    layers = [head.layer for head in heads]
    return [
        (layers.index(layer), layers.index(layer) + layers.count(layer))
        for layer in sorted(set(layers))
    ]


def _axis_limit(angles: list[float]) -> float:
    """The angle at which an axis ends: the least alike pair, and never nothing at all."""
    return max(angles[-1], 1.0)


def _colour_limit(angles: list[float]) -> float:
    """The angle at which the colours end."""
    return round(max(angles[int((len(angles) - 1) * (1 - _CLAMPED_SHARE))], 1.0), 6)


def _axis_start(angles: list[float], limit: float) -> float:
    """The angle at which an axis and the colours start: 0 unless all angles are wide."""
    return 0.0 if angles[0] < limit / 2 else round(angles[0] - (limit - angles[0]) * 0.05, 6)


def _ticks(limit: float, first: float) -> list[float]:
    """The angles of round cosines from the first to a limit, not too close to each other."""
    ticks: list[float] = []
    for angle in map(angle_of, _NICE_COSINES):
        if first <= angle <= limit and (not ticks or angle - ticks[-1] >= (limit - first) / 11):
            ticks.append(angle)
    if len(ticks) > 2:
        return ticks
    # Cosines that differ in the third place only: as many digits as part them, evenly spaced.
    ends = math.cos(math.radians(first)), math.cos(math.radians(limit))
    part = max(ends[0] - ends[1], 1e-9) / 6
    power = 10 ** math.floor(math.log10(part))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= part)
    steps = range(math.ceil(ends[1] / step), math.floor(ends[0] / step) + 1)
    return [angle_of(number * step) for number in reversed(steps)]


def _cosine(angle: float) -> str:
    return f"{math.cos(math.radians(angle)):.4f}"
