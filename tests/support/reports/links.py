"""The links of a page to queries, each with what it stands beside."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote
from xml.etree.ElementTree import Element, SubElement

_VOID = {"meta", "link", "br", "input", "img", "hr"}
# What a link is about stands in the nearest of these around it.
_BLOCKS = {"p", "dd", "h2", "h3", "figcaption", "div", "li", "td"}


class _Tree(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("page")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        made = SubElement(self._open[-1], tag, values)
        if tag not in _VOID:
            self._open.append(made)

    def handle_endtag(self, tag: str) -> None:
        if tag in {element.tag for element in self._open}:
            while self._open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        inside = self._open[-1]
        if len(inside):
            inside[-1].tail = (inside[-1].tail or "") + data
        else:
            inside.text = (inside.text or "") + data


@dataclass(frozen=True)
class QueryLink:
    """A link to a query. what: its accessible name, or the code that it shows.

    is_followed: a script leads it elsewhere as the reader chooses. around: the elements that it is
    in, the innermost first.
    """

    sql: str
    what: str
    is_followed: bool
    around: tuple[Element, ...]

    def inside(self, tag: str) -> Element | None:
        """The innermost element around it that is of a tag, None where there is none."""
        found = (element for element in self.around if element.tag == tag)
        return next(found, None)

    @property
    def block(self) -> Element:
        """What the link is about."""
        return next(element for element in self.around if element.tag in _BLOCKS)

    @property
    def chart(self) -> str | None:
        """The id of the chart that it stands below, None where it stands in text."""
        figure = self.inside("figure")
        if figure is None:
            return None
        return next(element.get("id") for element in figure.iter("div") if element.get("class"))


def parsed(page: str) -> Element:
    """A page as a tree of its elements."""
    tree = _Tree()
    tree.feed(page)
    return tree.root


def query_links(root: Element) -> Iterator[QueryLink]:
    """All links of a page to the page Ask with a query, in the order of the page."""
    yield from _in(root, ())


def _in(element: Element, around: tuple[Element, ...]) -> Iterator[QueryLink]:
    _, is_query, sql = element.get("href", "").partition("ask.html#sql=")
    if element.tag == "a" and is_query:
        what = element.get("aria-label", "").removeprefix("SQL: ") or text(element)
        yield QueryLink(unquote(sql), what, "data-sql" in element.attrib, around)
    for child in element:
        yield from _in(child, (element, *around))


def text(element: Element) -> str:
    """The text of an element, blanks run together."""
    return re.sub(r"\s+", " ", "".join(element.itertext())).strip()


def numbers(element: Element) -> list[float]:
    """The unrounded numbers in an element."""
    return [float(data.get("value", "nan")) for data in element.iter("data")]


def with_id(root: Element, name: str) -> Element:
    """The element of a page with an id."""
    return next(element for element in root.iter() if element.get("id") == name)


def spec(root: Element, chart: str) -> dict[str, Any]:
    """The specification of a chart."""
    found: dict[str, Any] = json.loads(with_id(root, f"{chart}-spec").text or "")
    return found


def rows_of(root: Element, chart: str) -> list[list[dict[str, Any]]]:
    """The data sets of a chart, in the order of its layers, each once."""
    found = spec(root, chart)
    data = [part["data"] for part in (found, *found.get("layer", ())) if "data" in part]
    names = dict.fromkeys(part["name"] for part in data if "name" in part)
    sets = [found["datasets"][name] for name in names]
    sets += [part["values"] for part in data if "values" in part]
    return [json.loads(rows) if isinstance(rows, str) else rows for rows in sets]
