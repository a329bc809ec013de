"""Charts of all heads against all heads: the matrix of cosines, and how they are distributed.

Most raw cosines lie near 1. Both charts are therefore spaced by the angle between two heads'
vectors, the arc cosine, and labelled with the cosine: 0.99 and 0.95 are as far apart as they look.
Where all angles are wide, as of whitened contents, the scale starts at the smallest.
"""

from __future__ import annotations

import math

import altair as alt

from reports.charts.theme import LIGHT, Theme, inline, inline_text, placed, sequential, themed
from reports.data.report import Claim, CosineMatrix, Head
from reports.data.wording import COMPARED, digits_apart

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
) -> alt.LayerChart:
    """How many pairs of heads are how alike, with the claim's cosines marked."""
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
    spread, match = claim.spread, claim.match
    share = spread.n_as_alike / spread.n_pairs
    title = (
        f"{spread.n_as_alike:,} of {spread.n_pairs:,} pairs of heads ({share:.1%}) are at least as "
        f"alike as {match.head} and {match.best}"
    )
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
            # Headroom for the marks' names.
            .scale(domain=[0, max(counts) * 1.5], nice=False)
            .axis(tickCount=4, format="~s"),
            color=alt.Color("start:Q", legend=None).scale(
                **sequential(theme, domain=[_colour_limit(angles), first], clamp=True)
            ),
            tooltip=[
                alt.Tooltip("range:N", title="cosine"),
                alt.Tooltip("pairs:Q", title="pairs", format=","),
            ],
        )
    )
    marks = _marks(claim, limit)
    position = alt.X("angle:Q", scale=axis_scale)
    colour = alt.Color("kind:N", legend=None).scale(
        domain=["match", "same index"], range=[theme.other, theme.ink]
    )
    layers = [bars]
    # From right to left each name stands lower and its line starts lower: none crosses another.
    for number, mark in enumerate(marks):
        is_right = float(mark["angle"]) < (first + limit) / 2
        base = alt.Chart(inline([mark])).encode(x=position, color=colour)
        text = base.mark_text(
            align="right" if is_right else "left",
            dx=-6 if is_right else 6,
            fontSize=12,
            fontWeight=600,
        )
        line = base.mark_rule(strokeWidth=2)
        y = 8 + 17 * number
        layers.append(line.encode(y=alt.value(y - 6), y2=alt.value("height")))
        layers.append(text.encode(y=alt.value(y), text="label:N"))
    layered = alt.LayerChart(layer=layers).resolve_scale(color="independent")
    height = 340 if width is None else round(min(340, width * 0.7))
    chart: alt.LayerChart = placed(layered, width=width, height=height, title=title)
    return themed(chart, theme, name=name, description=f"Histogram. {title}.")


def _marks(claim: Claim, limit: float) -> list[dict[str, float | str]]:
    """The claim's cosines as marks on the axis, the greatest first."""
    match = claim.match
    digits = digits_apart(claim.cosines)
    named = [("match", f"match {match.head.index} ↔ {match.best.index}", match.cosine)]
    if claim.is_moved and claim.is_one_shape:
        same_index = (
            (match.head, claim.same_index_reference),
            (match.best, claim.same_index_match),
        )
        named += [
            ("same index", f"same index {head.index}", cosine)
            for head, cosine in same_index
            if cosine is not None
        ]
    marks: list[dict[str, float | str]] = [
        {
            "kind": kind,
            "label": f"{label}: {cosine:.{digits}f}",
            "angle": round(min(angle_of(round(cosine, 6)), limit), 6),
        }
        for kind, label, cosine in named
    ]
    return sorted(marks, key=lambda mark: mark["angle"])


def matrix_chart(
    matrix: CosineMatrix,
    claim: Claim,
    *,
    name: str,
    theme: Theme = LIGHT,
    width: int | None = None,
    is_linked: bool = False,
) -> alt.LayerChart:
    """The cosine of every head of one model with every head of another.

    is_linked: a click on a row chooses its head, for the other charts of a page, too.
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
                gradientLength=320 if width is None else min(320, width - _AXIS - 20),
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
    if is_linked:
        cells = cells.add_params(
            alt.selection_point(name="chosen", fields=["row"], on="click", clear=False)
        )
    plot_width = 460 if width is None else width - _AXIS
    layers = [
        cells,
        _layer_lines(matrix.heads_b, "x", theme),
        _layer_lines(matrix.heads_a, "y", theme),
        *_outlines(matrix, claim, theme, cell=plot_width / n_b),
    ]
    title = f"{match.head} ↔ {match.best} stands at {match.cosine:.3f}, the median at "
    title += f"{claim.spread.median:.3f}"
    chart = alt.LayerChart(layer=layers).add_params(
        alt.param(name="heads_a", value=[head.index for head in matrix.heads_a]),
        alt.param(name="heads_b", value=[head.index for head in matrix.heads_b]),
    )
    height = min(max(round(plot_width * n_a / n_b), 200), 640)
    chart = placed(chart, width=width, height=height, title=title)
    description = f"Heat map of the cosines of {n_a} by {n_b} heads. {title}."
    return themed(chart, theme, name=name, description=description)


def _outlines(matrix: CosineMatrix, claim: Claim, theme: Theme, *, cell: float) -> list[alt.Chart]:
    """Frames around the match and, dashed, around the same-index pair of the reference head.

    cell: about how many pixels a cell measures; a frame leaves the inside of a small one seen.
    """
    match = claim.match
    thickness = 2.5 if cell >= 9 else 1.2
    framed: list[tuple[Head, str, list[float]]] = [(match.best, theme.other, [1, 0])]
    same_index = match.head.in_model(match.best.model)
    if claim.is_moved and claim.is_one_shape and same_index in matrix.heads_b:
        framed.append((same_index, theme.ink, [3, 2] if cell >= 9 else [1.5, 1]))
    row = matrix.heads_a.index(match.head)
    charts = []
    for head, colour, dash in framed:
        column = matrix.heads_b.index(head)
        frame = {"x": column, "x_end": column + 1, "y": row, "y_end": row + 1}
        charts.append(
            alt.Chart(inline([frame]))
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
