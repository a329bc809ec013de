"""A figure as a file: SVG, PNG or PDF in the size of a column, or its numbers as CSV."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.kernel.errors import InputError
from ingest.kernel.files import write_files_aside
from reports.charts.vega import vega_lite_version
from reports.figures.figures import Drawn

if TYPE_CHECKING:
    import altair as alt

SUFFIXES = (".svg", ".png", ".pdf", ".csv")
_PIXELS_AN_INCH, _POINTS_AN_INCH, _MM_AN_INCH = 96, 72, 25.4  # as CSS counts them
_PNG_PIXELS_AN_INCH = 300
# What journals ask for, and what takes the same room: an SVG is laid out here and shown elsewhere.
_FONT = "Arial, Helvetica, 'Liberation Sans', sans-serif"
_ID = re.compile(r'(?<= id="|url\(#)(clip|gradient)_?\d+')
_SIZE = re.compile(r'width="([0-9.]+)" height="([0-9.]+)"')


def pixels(mm: float) -> int:
    """How wide a figure is drawn, its type then being of 8 to 9 points.

    >>> pixels(89)
    336
    """
    return round(mm / _MM_AN_INCH * _PIXELS_AN_INCH)


def write_figure(drawn: Drawn, path: Path) -> None:
    """Writes a figure in the form that the file's name ends in, in one step.

    The same figure gives the same bytes, given the same fonts, which a PDF names in any order.

    Raises: InputError as `check_figure_file`; HeadswapError where the file cannot be written.
    """
    check_figure_file(path)
    write_files_aside({path: _content(drawn, path.suffix)})


def check_figure_file(path: Path) -> None:
    """Raises: InputError for a file whose ending names no form of a figure, or that is a folder."""
    if path.suffix not in SUFFIXES or path.is_dir():
        raise InputError(
            f"{path} is no file that ends in one of {', '.join(SUFFIXES)}",
            hint="name the file after the form that it is to have",
        )


def _content(drawn: Drawn, suffix: str) -> bytes:
    if suffix == ".csv":
        return _as_csv(drawn)
    import vl_convert

    svg = svg_of(drawn.chart)
    if suffix == ".svg":
        return _sized(svg, _MM_AN_INCH, "mm").encode()
    if suffix == ".pdf":
        return bytes(vl_convert.svg_to_pdf(_sized(svg, _POINTS_AN_INCH, "")))
    points_a_pixel = _POINTS_AN_INCH / _PIXELS_AN_INCH
    return bytes(vl_convert.svg_to_png(svg, scale=points_a_pixel, ppi=_PNG_PIXELS_AN_INCH))


def svg_of(chart: alt.Chart | alt.LayerChart) -> str:
    """A chart as SVG, in pixels."""
    import vl_convert

    spec = chart.to_dict()
    spec["config"]["font"] = _FONT
    return _renumbered(str(vl_convert.vegalite_to_svg(spec, vl_version=vega_lite_version())))


def png_of(chart: alt.Chart | alt.LayerChart) -> bytes:
    """A chart as PNG with two pixels for each of its own, for screens that have so many."""
    import vl_convert

    return bytes(vl_convert.svg_to_png(svg_of(chart), scale=2))


def _renumbered(svg: str) -> str:
    """The drawing with its parts counted from 0; Vega counts on from one drawing to the next.

    >>> _renumbered('<g id="clip7"/><g clip-path="url(#clip7)"/><g id="gradient_9">')
    '<g id="clip0"/><g clip-path="url(#clip0)"/><g id="gradient1">'
    """
    numbers: dict[str, int] = {}
    return _ID.sub(lambda id_: f"{id_[1]}{numbers.setdefault(id_[0], len(numbers))}", svg)


def _sized(svg: str, units_an_inch: float, unit: str) -> str:
    """The drawing with the size that it is to be printed in, in place of pixels."""

    def printed(size: re.Match[str]) -> str:
        width, height = (
            float(number) / _PIXELS_AN_INCH * units_an_inch for number in size.groups()
        )
        return f'width="{width:.2f}{unit}" height="{height:.2f}{unit}"'

    return _SIZE.sub(printed, svg, count=1)


def _as_csv(drawn: Drawn) -> bytes:
    return drawn.frame.write_csv().encode()
