"""How results show themselves where HTML is shown: Jupyter, marimo, and what renders notebooks."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from ingest.kernel.text import printable

if TYPE_CHECKING:
    import altair as alt


def table_html(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table with a title above it; texts in it are no markup, whatever they hold.

    >>> table_html("<1>", ("a",), [("b",)])
    '<p><b>&lt;1&gt;</b></p><table><thead><tr><th>a</th></tr></thead><tbody><tr><td>b</td></tr></tbody></table>'
    """
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{text_html(value)}</td>' for value in row)}</tr>" for row in rows
    )
    return (
        f"<p><b>{text_html(title)}</b></p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def text_html(value: object) -> str:
    """A value as text between tags; a number with four digits after its point.

    >>> text_html(0.123456), text_html(None), text_html("a<b")
    ('0.1235', '–', 'a&lt;b')
    """
    if value is None:
        return "–"
    return escape(printable(f"{value:.4f}" if isinstance(value, float) else str(value)))


def images_html(charts: Sequence[alt.Chart | alt.LayerChart]) -> str:
    """Charts below each other as PNG: of charts with many parts much smaller than SVG."""
    from reports.figures.figure_files import png_of

    images = (base64.b64encode(png_of(chart)).decode() for chart in charts)
    return "".join(
        f'<p><img alt="{escape(chart.description)}" style="max-width:100%;zoom:50%" '
        f'src="data:image/png;base64,{image}"></p>'
        for chart, image in zip(charts, images, strict=True)
    )


def charts_html(charts: Sequence[alt.Chart | alt.LayerChart]) -> str:
    """Charts side by side where there is room, as SVG: seen without a script or a network."""
    from reports.figures.figure_files import svg_of

    drawn = "".join(f'<div style="background:#fff">{svg_of(chart)}</div>' for chart in charts)
    return f'<div style="display:flex;flex-wrap:wrap;gap:1rem">{drawn}</div>'
