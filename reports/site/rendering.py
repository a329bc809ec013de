"""From templates to one HTML file that needs nothing else to be read, and asks for nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.charts.theme import DARK, FONT, LIGHT, colours
from reports.charts.vega import vega_bundle
from reports.data import effect_wording, questions, verdicts, wording
from reports.data.interventions import intervention_wording
from reports.data.queries import sides
from reports.site.links import Links

_TEMPLATES = Path(__file__).parent / "templates"
# What a page says of who made it: only such files are ever deleted.
GENERATOR = '<meta name="generator" content="headswap">'
_ON_EVERY_PAGE = ("address.js", "site.js", "tables.js")
# Every page that a site may have, in the order of its menu.
MENU = {
    "index": "Finding",
    "heads": "Heads",
    "head": "One head",
    "swaps": "Swaps",
    "effects": "Effects",
    "prompts": "Prompts",
    "ask": "Ask",
    "data": "Data",
    "history": "History",
}


@dataclass(frozen=True)
class Figure:
    """A chart on a page: its element's id, its Vega-Lite specification as JSON, its alt text.

    caption: its title, which the page shows as text of its own: there it wraps and holds links.
    model: whose a head is that the caption names by its index alone. question: the query whose rows
    it shows, with `values` for its parameters; none of what stands for no rows yet.
    """

    id: str
    spec: Markup
    description: str
    caption: str
    model: str | None = None
    question: str = ""
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """One page of a site. name: as in MENU; title: what it found, its heading.

    scripts: the files that it runs, after those that every page does. has_charts: needs Vega.
    data: what its scripts read, by the element's id. styles: its sheets, after those of every page.
    libraries: texts of scripts that run before its own. packed: bytes in base 64 that its scripts
    unpack when they need them, by the element's id. policy: what its scripts may do beyond what
    those of every page may, by the directive.
    """

    name: str
    title: str
    body: Markup
    scripts: tuple[str, ...] = ()
    has_charts: bool = False
    data: tuple[tuple[str, Markup], ...] = ()
    styles: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    packed: tuple[tuple[str, str], ...] = ()
    policy: tuple[tuple[str, str], ...] = ()


def figure_of(
    chart: alt.Chart | alt.LayerChart,
    question: str = "",
    values: Mapping[str, object] | None = None,
    model: str | None = None,
) -> Figure:
    """A chart as a page holds it. question, values, model: as in Figure."""
    # Its parts were validated as they were made.
    spec: dict[str, Any] = chart.to_dict(validate=False)
    # A template has none: its page says what it is of.
    return Figure(
        caption=" ".join(spec.pop("title", ())),
        id=spec["name"],
        spec=script_json(spec),
        description=spec["description"],
        model=model,
        question=question,
        values=values or {},
    )


def fill(template: str, **values: Any) -> Markup:
    """A template filled in."""
    return Markup(_environment().get_template(template).render(**values))


def document(pages: Sequence[Page], site: Sequence[str], links: Links) -> str:
    """Pages as one HTML file. site: the names of all, those in files beside it, too."""
    names = list(dict.fromkeys(name for page in pages for name in (*_ON_EVERY_PAGE, *page.scripts)))
    scripts = [library for page in pages for library in page.libraries]
    scripts += [(_TEMPLATES / name).read_text(encoding="utf-8") for name in names]
    if any(page.has_charts for page in pages):
        scripts.insert(0, vega_bundle())
    styles = dict.fromkeys(sheet for page in pages for sheet in page.styles)
    palettes = {"light": colours(LIGHT), "dark": colours(DARK)}
    return fill(
        "shell.html",
        link=links,
        generator=Markup(GENERATOR),
        pages=pages,
        menu={name: label for name, label in MENU.items() if name in site},
        is_single=len(pages) > 1,
        palettes=script_json(palettes),
        data=dict(entry for page in pages for entry in page.data),
        packed={name: Markup(text) for page in pages for name, text in page.packed},
        scripts=[Markup(script) for script in scripts],
        # Only these scripts run, and nothing is ever fetched: the browser itself sees to it.
        policy=_policy(scripts, [entry for page in pages for entry in page.policy]),
        style=Markup("").join(
            fill(sheet, font=Markup(FONT), palettes=palettes)
            for sheet in ("site.css", "browse.css", "charts.css", *styles, "print.css")
        ),
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["exact"] = lambda value: repr(round(value, 6))
    environment.filters["count"] = lambda value: f"{value:,}"
    environment.globals["wording"] = wording
    environment.globals["verdicts"] = verdicts
    environment.globals["questions"] = questions
    environment.globals["sides"] = sides
    environment.globals["vars"] = vars
    environment.globals["effect_wording"] = effect_wording
    environment.globals["intervention_wording"] = intervention_wording
    return environment


def _policy(scripts: Sequence[str], more: Sequence[tuple[str, str]]) -> Markup:
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()) for script in scripts]
    directives = {
        "default-src": "'none'",
        "script-src": " ".join(f"'sha256-{hash_.decode()}'" for hash_ in hashes),
        "style-src": "'unsafe-inline'",
        "img-src": "data:",
    }
    for name, source in more:
        directives[name] = " ".join(filter(None, (directives.get(name), source)))
    return Markup("; ".join(f"{name} {sources}" for name, sources in directives.items()))


def script_json(value: Any) -> Markup:
    r"""JSON that no text in it can turn into markup: a script element ends only where we end it.

    >>> print(script_json("</script><!--"))
    "\u003c/script>\u003c!--"
    """
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))
