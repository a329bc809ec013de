"""How the report looks: one font, one palette, the same colour for the same role everywhere."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any, Final, TypeVar

import altair as alt

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

# Of the palette by Okabe and Ito, which is told apart with any common colour blindness.
REFERENCE = "#0072B2"
OTHER = "#D55E00"

INK = "#1b1f24"
MUTED = "#57606a"
GRID = "#e6e9ed"
PAPER = "#ffffff"

# Every heat map: pale for little, dark for much; safe for colour-blind eyes, legible in grey.
SEQUENTIAL: Final = "yellowgreenblue"

_TITLE_LENGTH = 46

AnyChart = TypeVar("AnyChart", alt.Chart, alt.LayerChart)


def themed(chart: AnyChart, *, name: str, description: str) -> AnyChart:
    """A chart in the report's looks, with a stable name and a text for those who do not see it."""
    styled: AnyChart = chart.properties(name=name, description=description).configure(**_config())
    return styled


def inline(rows: Iterable[dict[str, Any]]) -> alt.InlineData:
    """Rows as a chart's data. A tuple, for Altair copies lists each time that a chart grows."""
    return alt.InlineData(values=tuple(rows))


def title_lines(title: str) -> list[str]:
    """A title in lines that fit a chart on a narrow window; Vega would cut it.

    >>> title_lines("10 of 144 pairs of heads (6.9%) are at least as alike as these")
    ['10 of 144 pairs of heads (6.9%) are at least', 'as alike as these']
    """
    return textwrap.wrap(title, _TITLE_LENGTH, break_on_hyphens=False)


def colours() -> dict[str, str]:
    """The palette as the page's style sheet uses it, by role."""
    return {
        "reference": REFERENCE,
        "other": OTHER,
        "ink": INK,
        "muted": MUTED,
        "grid": GRID,
        "paper": PAPER,
    }


def _config() -> dict[str, Any]:
    """Vega-Lite's configuration."""
    return {
        "background": PAPER,
        "font": FONT,
        "padding": 4,
        "view": {"stroke": None},
        "axis": {
            "domainColor": MUTED,
            "gridColor": GRID,
            "labelColor": MUTED,
            "labelFontSize": 11,
            "tickColor": GRID,
            "titleColor": INK,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titlePadding": 10,
        },
        "legend": {
            "labelColor": INK,
            "labelFontSize": 12,
            "titleColor": INK,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titleLimit": 0,
        },
        "title": {
            "anchor": "start",
            "color": INK,
            "fontSize": 14,
            "fontWeight": 600,
            "frame": "group",
            "offset": 12,
            "subtitleColor": MUTED,
            "subtitleFontSize": 12,
            "subtitlePadding": 5,
        },
    }
