"""A link to a query, the rows of its query, and what stands beside it on the page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from tests.support.reports.links import QueryLink, numbers, rows_of, text

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Beside:
    """A link, the rows of its query, and the page that it is on."""

    root: Element
    link: QueryLink
    rows: Rows

    @property
    def row(self) -> dict[str, Any]:
        """The only row."""
        (row,) = self.rows
        return row

    @property
    def said(self) -> str:
        """The text that the link stands in."""
        return text(self.link.block)

    @property
    def caption(self) -> str:
        caption = self.link.inside("figcaption")
        assert caption is not None
        return text(caption).removesuffix(" SQL")

    @property
    def shown(self) -> list[float]:
        """The numbers of the text that the link stands in, unrounded."""
        return numbers(self.link.block)

    def data(self, number: int = 0) -> Rows:
        """A data set of the chart that the link stands below."""
        assert self.link.chart is not None
        return rows_of(self.root, self.link.chart)[number]

    def table(self) -> list[list[Element]]:
        """The cells of the table in the innermost part of the page around the link."""
        for element in self.link.around:
            for table in element.iter("table"):
                return [list(row) for body in table.iter("tbody") for row in body.iter("tr")]
        raise AssertionError(f"no table beside {self.link.what}")


def close(value: float) -> Any:
    """What a page shows of a number: six digits after the point."""
    return pytest.approx(value, abs=1.01e-6)


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def index(row: dict[str, Any], suffix: str = "") -> str:
    return f"L{row[f'layer{suffix}']}H{row[f'head{suffix}']}"


def counts(said: str, pattern: str = r"([\d,]+) of ([\d,]+)") -> list[tuple[int, ...]]:
    found = [m if isinstance(m, tuple) else (m,) for m in re.findall(pattern, said)]
    return [tuple(int(part.replace(",", "")) for part in parts) for parts in found]
