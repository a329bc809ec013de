"""How pages look in either theme and width: words, tooltips, charts; which files are theirs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from reports.site.pages import write_report
from reports.site.rendering import MENU
from sql.session import open_session
from tests.support.synthetic import PROMPTS, SyntheticModel, write_synthetic_dataset

PAGES = [name for name in MENU if name != "effects"]
MODELS = [SyntheticModel("standard"), SyntheticModel("adhd", places=(4, 0, 5, 1, 2, 3))]


# --- looks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_words_are_true_of_either_theme(name: str, three_site: Path) -> None:
    text = (three_site / f"{name}.html").read_text(encoding="utf-8")
    body = re.sub(r"<(script|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    assert re.findall(r"\b(?:dark|pale|light|white|black)e?r?\b", body.replace(">Dark<", "")) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_tooltips_have_the_colours_of_the_theme(theme: str, shown: Any) -> None:
    page = shown("swaps", 1400, theme)
    page.move_mouse(
        *page.evaluate(
            """(chart => {
                chart.scrollIntoView({block: "center"});
                const box = chart.getBoundingClientRect();
                return [box.left + box.width / 2, box.top + box.height / 2];
            })(document.querySelector("#matrix_0 canvas"))"""
        )
    )
    page.wait_for("document.querySelector('#vg-tooltip-element.visible') !== null")
    ground = page.evaluate(
        "getComputedStyle(document.getElementById('vg-tooltip-element')).backgroundColor"
    )
    brightness = sum(map(float, re.findall(r"[\d.]+", ground)[:3])) / 3
    assert (brightness < 100) == (theme == "dark"), ground


CUT = """(async () => {
    const found = [];
    for (const [id, view] of headswap.views) {
        const chart = id && document.getElementById(id);
        if (!chart || !chart.clientWidth) continue;
        if (view.width() < 200) found.push([id, "plot", view.width()]);
        const place = document.createElement("div");
        place.style = "position: absolute; left: 0; top: 0; visibility: hidden";
        place.innerHTML = await view.toSVG();
        document.body.append(place);
        const all = place.firstElementChild.getBoundingClientRect();
        if (all.width > chart.clientWidth + 1) found.push([id, "wide", all.width]);
        for (const text of place.querySelectorAll("text")) {
            const box = text.getBoundingClientRect();
            if (box.width && (box.left < all.left - 2 || box.right > all.right + 2))
                found.push([id, text.textContent, Math.round(box.left), Math.round(box.right)]);
        }
        place.remove();
    }
    for (const part of document.querySelectorAll("main figure, main .scroll, main pre, main p"))
        if (part.scrollWidth > part.clientWidth + 1)
            found.push([part.tagName, part.className, part.scrollWidth, part.clientWidth]);
    return [document.documentElement.scrollWidth <= innerWidth, found];
})()"""


@pytest.mark.parametrize(("width", "theme"), [(390, "light"), (390, "dark"), (1400, "dark")])
@pytest.mark.parametrize("name", PAGES)
def test_every_chart_is_readable_and_nothing_is_cut(
    name: str, width: int, theme: str, shown: Any
) -> None:
    assert shown(name, width, theme).evaluate(CUT) == [True, []]


def test_what_is_shown_on_a_cut_axis_are_no_bars(shown: Any) -> None:
    page = shown("swaps")
    spec = page.evaluate("headswap.read('nearest_0-spec')")
    assert spec["mark"]["type"] == "point"
    assert "(axis cut to the values shown)" in spec["encoding"]["x"]["title"]
    low, high = page.evaluate("headswap.views.get('nearest_0').scale('nearest_0_x').domain()")
    shares = page.evaluate("headswap.views.get('nearest_0').data('data_0').map(row => row.cosine)")
    assert 0 < low <= min(shares) <= max(shares) <= high
    # The nearest fill most of the axis, however alike they are.
    assert max(shares) - min(shares) > (high - low) / 4


# --- what is written ------------------------------------------------------------------------


def test_pages_of_an_earlier_report_are_deleted_and_nothing_else(tmp_path: Path) -> None:
    two = write_synthetic_dataset(tmp_path / "two", MODELS[:2], PROMPTS)
    one = write_synthetic_dataset(tmp_path / "one", MODELS[:1], PROMPTS)
    out = tmp_path / "pages"
    with open_session(two) as opened:
        write_report(opened, out)
    assert (out / "swaps.html").is_file()
    (out / "notes.html").write_text("mine")
    (out / "effects.html").write_text("<h1>mine, too</h1>")
    with open_session(one) as opened:
        write_report(opened, out)
    assert not (out / "swaps.html").exists()
    assert (out / "notes.html").read_text() == "mine"
    assert (out / "effects.html").read_text() == "<h1>mine, too</h1>"
