"""How the report looks: one font, one palette, the same colour for the same role everywhere."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import altair as alt

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Theme:
    """The colours of one look, by role; each pair that meets is told apart in it.

    is_dark: heat maps then go from dark for little to pale for much, else the other way round.
    """

    reference: str
    other: str
    ink: str
    muted: str
    grid: str
    paper: str
    is_dark: bool = False


# `reference` and `other` are of the palette by Okabe and Ito, which is told apart with any common
# colour blindness; on a dark ground its two lighter ones.
LIGHT: Final = Theme("#0072B2", "#D55E00", "#1b1f24", "#57606a", "#e6e9ed", "#ffffff")
DARK: Final = Theme("#56B4E9", "#E69F00", "#f0f3f6", "#9ea7b3", "#2f353d", "#14181d", is_dark=True)
PRINT: Final = Theme("#0072B2", "#D55E00", "#000000", "#000000", "#d9d9d9", "#ffffff")
THEMES: Final = {"light": LIGHT, "dark": DARK, "print": PRINT}

# Every heat map: safe for colour-blind eyes, legible in grey.
_SEQUENTIAL: Final = "yellowgreenblue"

_TITLE_LENGTH = 46
# A figure's title in pixels, and how wide its bold letters are on average, rather more than less.
_TITLE_SIZE, _TITLE_LETTER = 12, 7.0

# Pixels of a legend's letters on average, and of its symbol with the gap to the next entry.
_LEGEND_LETTER, _LEGEND_SYMBOL = 6.6, 44
# The largest a cell of a map gets, in pixels.
_CELL = 36

AnyChart = TypeVar("AnyChart", alt.Chart, alt.LayerChart)


def themed(chart: AnyChart, theme: Theme, *, name: str, description: str) -> AnyChart:
    """A chart in the report's looks, with a stable name and a text for those who do not see it."""
    named = chart.properties(name=name, description=description)
    styled: AnyChart = named.configure(**_config(theme))
    return styled


def sequential(theme: Theme, **scale: Any) -> dict[str, Any]:
    """What a heat map's colour scale is made with: little as pale as the paper, or as dark."""
    return {"scheme": _SEQUENTIAL, **({"reverse": True} if theme.is_dark else {}), **scale}


def weight_colour(theme: Theme, title: str) -> alt.Color:
    """The colour of a cell of a pattern, by its attention weight, with the legend of that title."""
    return (
        alt.Color("weight:Q")
        # The root spreads the many small weights.
        .scale(**sequential(theme, type="sqrt", domain=[0, 1]))
        .legend(
            title=title,
            orient="top",
            values=[0, 0.05, 0.2, 0.5, 1],
            format=".2~f",
            gradientLength=180,
            gradientThickness=10,
            offset=4,
        )
    )


def inline(rows: Iterable[dict[str, Any]]) -> alt.InlineData:
    """Rows as a chart's data. A tuple, for Altair copies lists each time that a chart grows."""
    return alt.InlineData(values=tuple(rows))


def inline_text(rows: Iterable[dict[str, Any]]) -> alt.InlineData:
    """The same as one text, which Vega parses: Altair walks through lists number by number."""
    text = json.dumps(list(rows), separators=(",", ":"), allow_nan=False)
    return alt.InlineData(values=text, format=alt.JsonDataFormat(type="json"))


def title_lines(title: str, width: int | None = None) -> list[str]:
    """A title in lines that fit a chart on a narrow window, or of a width; Vega would cut it.

    >>> title_lines("10 of 144 pairs of heads (6.9%) are at least as alike as these")
    ['10 of 144 pairs of heads (6.9%) are at least', 'as alike as these']
    """
    length = _TITLE_LENGTH if width is None else max(int(width / _TITLE_LETTER), 12)
    return textwrap.wrap(title, length, break_on_hyphens=False)


def placed(chart: AnyChart, *, width: int | None, height: int, title: str) -> AnyChart:
    """A chart with its title and size in pixels; width: of all of it, None for its container's."""
    if width is None:
        return chart.properties(width="container", height=height, title=title_lines(title))
    return chart.properties(
        width=width,
        height=height,
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        # Above the axis labels too, so that a title has all of a narrow figure's width.
        title=alt.TitleParams(title_lines(title, width), frame="bounds", fontSize=_TITLE_SIZE),
    )


def legend_columns(labels: Sequence[str]) -> alt.ExprRef:
    """How many of a legend's entries stand beside each other in the width of a page."""
    entry = round(_LEGEND_LETTER * max(map(len, labels), default=0)) + _LEGEND_SYMBOL
    return alt.ExprRef(f"max(1, min({len(labels)}, floor(containerSize()[0] / {entry})))")


def squares(
    chart: AnyChart,
    n_columns: int,
    n_rows: int,
    *,
    beside: int,
    has_labels: bool = False,
    tallest: int | None = None,
) -> AnyChart:
    """A map of cells that a page makes as high as its cells are squares in the width at hand.

    beside: pixels that the axis beside it takes. has_labels: each row and column has a label, whose
    size follows the cells'. tallest: pixels, None for as high as it takes.
    """
    cells = {
        "x": n_columns,
        "y": n_rows,
        "beside": beside,
        "labels": has_labels,
        "most": _CELL,
        "tallest": tallest,
    }
    made: AnyChart = chart.properties(usermeta={"cells": cells})
    return made


def colours(theme: Theme) -> dict[str, str]:
    """The palette as the page's style sheet and script use it, by role."""
    return {role: value for role, value in vars(theme).items() if role != "is_dark"}


def _config(theme: Theme) -> dict[str, Any]:
    """Vega-Lite's configuration."""
    return {
        "background": theme.paper,
        "font": FONT,
        "padding": 4,
        "view": {"stroke": None},
        "axis": {
            "domainColor": theme.muted,
            "gridColor": theme.grid,
            "labelColor": theme.muted,
            "labelFontSize": 11,
            "tickColor": theme.grid,
            "titleColor": theme.ink,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titlePadding": 10,
        },
        "legend": {
            "labelColor": theme.ink,
            "labelFontSize": 12,
            "titleColor": theme.ink,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titleLimit": 0,
        },
        "title": {
            "anchor": "start",
            "color": theme.ink,
            "fontSize": 14,
            "fontWeight": 600,
            "frame": "group",
            "offset": 12,
            "subtitleColor": theme.muted,
            "subtitleFontSize": 12,
            "subtitlePadding": 5,
        },
    }
