"""How the report looks: one font, one palette, the same colour for the same role everywhere."""

from __future__ import annotations

from typing import Any, TypeVar

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
SEQUENTIAL = "yellowgreenblue"

AnyChart = TypeVar("AnyChart", alt.Chart, alt.LayerChart)


def themed(chart: AnyChart, *, name: str, description: str) -> AnyChart:
    """A chart in the report's looks, with a stable name and a text for those who do not see it."""
    return chart.properties(name=name, description=description).configure(**_config())


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
        },
        "title": {
            "anchor": "start",
            "color": INK,
            "fontSize": 15,
            "fontWeight": 600,
            "frame": "group",
            "offset": 12,
            "subtitleColor": MUTED,
            "subtitleFontSize": 12,
            "subtitlePadding": 5,
        },
    }
