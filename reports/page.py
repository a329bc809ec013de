"""The page: charts and numbers put into one HTML file that needs nothing else to be read."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ingest.dataset.errors import InputError
from ingest.dataset.files import write_text_aside
from reports import wording
from reports.bundle import vega_bundle
from reports.charts import mass_axis_limit, pattern_chart, profile_chart
from reports.cosine_charts import distribution_chart, matrix_chart
from reports.queries import read_report
from reports.report import Claim, Head, Pair, Report
from reports.theme import DARK, FONT, LIGHT, colours
from sql.session import Session

PAGE_NAME = "index.html"
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Figure:
    """A chart on the page: its element's id, its Vega-Lite specification as JSON, its alt text."""

    id: str
    spec: Markup
    description: str


def write_report(session: Session, out: Path) -> Path:
    """Writes the report of a dataset as `index.html` in a folder, in one step; returns its path.

    The same dataset and parameters give the same bytes.

    Raises: InputError where no stored prompt is of the variant that was asked for, or `out` is a
    file; HeadswapError where the page cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file", hint="give a folder with --out")
    page = out / PAGE_NAME
    write_text_aside(page, render(read_report(session)))
    return page


def render(report: Report) -> str:
    """The page of a report as HTML."""
    bundle, script = vega_bundle(), (_FOLDER / "page.js").read_text(encoding="utf-8")
    palettes = {"light": colours(LIGHT), "dark": colours(DARK)}
    style = _environment().get_template("page.css").render(font=Markup(FONT), palettes=palettes)
    return (
        _environment()
        .get_template("page.html")
        .render(
            report=report,
            figures=_figures(report),
            palettes=_script_json(palettes),
            scripts=[Markup(bundle), Markup(script)],
            # Only these scripts run, and nothing is ever fetched: the browser itself sees to it.
            policy=_policy(bundle, script),
            style=Markup(style),
            wording=wording,
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["exact"] = lambda value: repr(round(value, 6))
    environment.filters["count"] = lambda value: f"{value:,}"
    return environment


def _policy(*scripts: str) -> Markup:
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()) for script in scripts]
    sources = " ".join(f"'sha256-{hash_.decode()}'" for hash_ in hashes)
    return Markup(
        f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; img-src data:"
    )


def _figures(report: Report) -> dict[str, list[Figure]]:
    """The charts of each section, by the section's name; `NAME:MODEL` for one other model's."""
    figures = {"profiles": list(_reference_figures(report))}
    if not report.pairs:
        figures["patterns"] = [_pattern_figure(report, report.reference.head, "pattern")]
    for number, pair in enumerate(report.pairs):
        other = pair.claim.match.best.model
        figures[f"profiles:{other}"] = list(_profile_figures(report, pair, number))
        figures[f"patterns:{other}"] = [
            _pattern_figure(report, report.reference.head, f"pattern_{number}_reference"),
            _pattern_figure(report, pair.claim.match.best, f"pattern_{number}_match"),
        ]
        figures[f"cosines:{other}"] = list(_cosine_figures(pair, number))
    return figures


def _reference_figures(report: Report) -> Iterator[Figure]:
    if not report.pairs:
        profile = report.reference_profile
        title = wording.headline(report)
        yield _figure(
            profile_chart([profile], name="profile", title=title, mass_limit=_mass_limit(report))
        )


def _profile_figures(report: Report, pair: Pair, number: int) -> Iterator[Figure]:
    """The matched profiles, then those of the same-index pairs that exist."""
    claim = pair.claim
    match = claim.match
    digits = wording.digits_apart(claim.cosines)
    panels: list[tuple[str, str, Head, Head, float | None]] = [
        ("match", "Best match", match.head, match.best, match.cosine)
    ]
    if claim.is_moved:
        other, own = match.head.in_model(match.best.model), match.best.in_model(match.head.model)
        panels += [
            ("index_a", f"Same index {other.index}", match.head, other, claim.same_index_reference),
            ("index_b", f"Same index {own.index}", own, match.best, claim.same_index_match),
        ]
    for name, words, head_a, head_b, cosine in panels:
        if cosine is not None:
            chart = profile_chart(
                [pair.profiles[head_a], pair.profiles[head_b]],
                name=f"profile_{number}_{name}",
                title=f"{words}: cosine {cosine:.{digits}f}",
                mass_limit=_mass_limit(report),
            )
            yield _figure(chart)


def _mass_limit(report: Report) -> float:
    """The top of every profile's axis: one for all, so that the panels compare."""
    profiles = [profile for pair in report.pairs for profile in pair.profiles.values()]
    return mass_axis_limit([report.reference_profile, *profiles])


def _pattern_figure(report: Report, head: Head, name: str) -> Figure:
    return _figure(pattern_chart(report.example.patterns[head], name=name))


def _cosine_figures(pair: Pair, number: int) -> Iterator[Figure]:
    claim: Claim = pair.claim
    yield _figure(distribution_chart(pair.matrix, claim, name=f"distribution_{number}"))
    yield _figure(matrix_chart(pair.matrix, claim, name=f"matrix_{number}"))


def _figure(chart: alt.Chart | alt.LayerChart) -> Figure:
    spec: dict[str, Any] = chart.to_dict()
    return Figure(id=spec["name"], spec=_script_json(spec), description=spec["description"])


def _script_json(value: Any) -> Markup:
    r"""JSON that no text in it can turn into markup: a script element ends only where we end it.

    >>> print(_script_json("</script><!--"))
    "\u003c/script>\u003c!--"
    """
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))
