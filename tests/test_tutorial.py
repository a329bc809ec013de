"""The tutorial, followed word for word from an empty folder; answers and pictures come out so."""

from __future__ import annotations

import re
from pathlib import Path

import altair as alt
import pytest

from tests.support.pages.follow import TUTORIAL, Reader

PAGES = sorted(TUTORIAL.glob("*.md"))
# Blocks that a page says need a network.
SKIPPED = {"head-swap": 2}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_reader_who_follows_it_gets_what_it_shows(page: Path, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.follow(page)
    assert [block.cost for block in reader.skipped] == ["needs a network"] * SKIPPED[page.stem]


def test_it_has_the_nine_sections_of_the_source() -> None:
    text = (TUTORIAL / "head-swap.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)", text, re.M)
    assert re.findall(r"(\d)\. ", " ".join(headings)) == list("123456789")
    # Each section from the first weights on says what one sees.
    for section in text.split("\n## ")[3:8]:
        assert "*You see*" in section, section.partition("\n")[0]


def test_a_chart_shows_itself_in_a_notebook(demo_dataset: Path) -> None:
    import headswap

    with headswap.open(demo_dataset) as data:
        chart = data.figure("profiles")
    assert isinstance(chart, alt.Chart | alt.LayerChart)
    bundle = chart._repr_mimebundle_()
    content = bundle[0] if isinstance(bundle, tuple) else bundle
    assert content is not None
    assert any("vega" in kind or "html" in kind for kind in content)
