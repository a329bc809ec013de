"""How every page looks, wide and narrow, light and dark: words, links, tooltips, charts."""

from __future__ import annotations

import re
from typing import Any

import pytest

from reports.site.rendering import MENU
from sql.session import Session
from tests.support.reports.looks import CUT, LINKED, UNLINKED, in_each_look

# The dataset has no effects; `test_effects` is about their page.
PAGES = [name for name in MENU if name != "effects"]


@in_each_look
@pytest.mark.parametrize("name", PAGES)
def test_every_chart_is_readable_and_nothing_is_cut(
    name: str, width: int, theme: str, seen: Any
) -> None:
    assert seen(name, width, theme).evaluate(CUT) == [True, []]


# Ask describes columns, and the heads there are examples of how they are written.
@in_each_look
@pytest.mark.parametrize("name", [name for name in PAGES if name != "ask"])
def test_every_head_that_is_named_is_a_link(
    name: str, width: int, theme: str, seen: Any, three: Session
) -> None:
    page = seen(name, width, theme)
    assert page.evaluate(UNLINKED) == []
    links = page.evaluate(LINKED)
    heads = {
        f"{row['model']}:L{row['layer']}H{row['head']}"
        for row in three.rows("select distinct model, layer, head from profiles")
    }
    assert set(links) <= heads
    assert bool(links) == (name not in {"data", "prompts"})


@in_each_look
@pytest.mark.parametrize("name", PAGES)
def test_words_are_true_of_either_theme(name: str, width: int, theme: str, seen: Any) -> None:
    text = seen(name, width, theme).evaluate("document.querySelector('main').textContent")
    assert re.findall(r"\b(?:dark|pale|light|white|black)e?r?\b", text) == []


@in_each_look
def test_tooltips_have_the_colours_of_the_theme(width: int, theme: str, seen: Any) -> None:
    page = seen("swaps", width, theme)
    page.move_mouse(*page.middle_of("#matrix_0 canvas"))
    page.wait_for("document.querySelector('#vg-tooltip-element.visible') !== null")
    ground, ink = page.evaluate(
        "(style => [style.backgroundColor, style.color])"
        "(getComputedStyle(document.getElementById('vg-tooltip-element')))"
    )
    assert (brightness(ground) < 100) == (theme == "dark"), ground
    assert abs(brightness(ground) - brightness(ink)) > 100, (ground, ink)
    page.move_mouse(1, 1)


def brightness(colour: str) -> float:
    """Of a colour as a browser computes it, from 0 to 255."""
    return sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / 3


@in_each_look
def test_what_is_shown_on_a_cut_axis_are_no_bars(width: int, theme: str, seen: Any) -> None:
    page = seen("swaps", width, theme)
    spec = page.evaluate("headswap.read('nearest_0-spec')")
    assert spec["mark"]["type"] == "point"
    assert "(axis cut to the values shown)" in spec["encoding"]["x"]["title"]
    low, high = page.evaluate("headswap.views.get('nearest_0').scale('nearest_0_x').domain()")
    shares = page.evaluate("headswap.views.get('nearest_0').data('data_0').map(row => row.cosine)")
    assert 0 < low <= min(shares) <= max(shares) <= high
    # The nearest fill most of the axis, however alike they are.
    assert max(shares) - min(shares) > (high - low) / 4
