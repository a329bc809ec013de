"""What a reader chooses, points at and searches, on wide and narrow windows, light and dark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reports.site.rendering import MENU
from sql.session import Session
from tests.support.services.browser import CHARTS_DRAWN, Browser, Page

PAGES = [name for name in MENU if name != "effects"]
MODELS = ("standard", "adhd", "standard-twin")
LOOKS = [(1400, "light"), (390, "dark")]


def choose(page: Page, selector: str, value: str) -> None:
    """Sets a control as a person would, with its events."""
    page.evaluate(
        f"(control => {{ control.value = {json.dumps(value)};"
        " for (const kind of ['input', 'change'])"
        " control.dispatchEvent(new Event(kind, {bubbles: true})); })"
        f"(document.querySelector({json.dumps(selector)}))"
    )


def middle_of(page: Page, selector: str, at: int = 0) -> list[float]:
    """Where in the window an element's middle is, after scrolling to it."""
    place: list[float] = page.evaluate(
        f"(element => {{ element.scrollIntoView({{block: 'center'}});"
        " const box = element.getBoundingClientRect();"
        " return [box.left + box.width / 2, box.top + box.height / 2]; })"
        f"(document.querySelectorAll({json.dumps(selector)})[{at}])"
    )
    return place


CARDS = "[...document.querySelectorAll('#heads-grid a')].map(card => card.title)"
TITLE = "document.getElementById('head-title').textContent"


# --- the address ----------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_heads_are_the_same_after_reload_and_back(width: int, theme: str, shown: Any) -> None:
    page = shown("heads", width, theme)
    for selector, value in [
        ("[name=score]", "entropy"),
        ("[name=order]", "up"),
        ("[name=model]", "adhd"),
        ("[name=prompt]", "2"),
    ]:
        choose(page, selector, value)
    page.wait_for("document.querySelectorAll('#heads-grid a').length === 6")
    page.wait_for("document.getElementById('heads-count').textContent.includes('prompt 2')")
    before = page.evaluate(CARDS)
    assert page.evaluate("location.hash") == "#score=entropy&order=up&model=adhd&prompt=2"
    page.loads("location.reload()")
    assert page.evaluate(CARDS) == before
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    assert page.evaluate("document.querySelector('[name=score]').value") == "entropy"

    page.loads("document.querySelector('#heads-grid a').click()")
    assert page.evaluate(TITLE) == before[0]
    assert page.evaluate("document.querySelector('[name=prompt]').value") == "2"
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    page.loads("history.back()")
    assert page.evaluate(CARDS) == before
    page.evaluate("history.back()")
    page.wait_for("document.querySelector('[name=prompt]').value === '0'")


def test_theme_is_remembered_for_all_pages(browser: Browser, three_site: Path) -> None:
    page = browser.open(three_site / "data.html")
    page.evaluate("document.getElementById('theme').click()")
    for step in ("location.reload()", "location.href = 'history.html'", "history.back()"):
        page.loads(step)
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    fresh = browser.open(three_site / "data.html")
    assert fresh.evaluate("document.documentElement.dataset.theme") == "light"
    browser.close(fresh)
    browser.close(page)


def test_a_pair_and_a_head_of_swaps_stand_in_the_address(shown: Any, three: Session) -> None:
    page = shown("swaps", 390)
    visible = "[...document.querySelectorAll('.linked')].map(section => !section.hidden)"
    assert page.evaluate(visible) == [True, False]
    choose(page, "#swaps-pair", "standard-twin")
    page.wait_for(f"{CHARTS_DRAWN} && document.querySelector('#matrix_1 canvas') !== null")
    page.evaluate("document.querySelectorAll('.linked')[1].querySelector('.choose').click()")
    page.wait_for("document.querySelectorAll('.linked')[1].dataset.shown !== undefined")
    chosen = page.evaluate("document.querySelectorAll('.linked')[1].dataset.row")
    page.loads("location.reload()")
    assert page.evaluate(visible) == [False, True]
    assert page.evaluate("document.querySelectorAll('.linked')[1].dataset.shown") == chosen
    caption = page.evaluate("document.getElementById('matrix_1-caption').textContent")
    row = three.rows(
        "select layer_b, head_b from matches where model_a = 'standard' "
        "and model_b = 'standard-twin' and layer_a = $layer and head_a = $head",
        dict(zip(("layer", "head"), divmod(int(chosen), 3), strict=True)),
    )[0]
    assert f"↔ standard-twin L{row['layer_b']}H{row['head_b']} stands at" in caption
    page.evaluate("history.go(-2)")
    page.wait_for(f"{CHARTS_DRAWN} && document.querySelector('.linked').hidden === false")


# --- links ----------------------------------------------------------------------------------

# Text of the page that names a head and is no link: in controls, code and quotations it cannot be.
UNLINKED = r"""(() => {
    const found = [];
    const texts = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
    const other = "a, option, code, pre, svg, script, blockquote, h1#head-title, "
        + "#head-preview, noscript, .token, .looks";
    while (texts.nextNode()) {
        const { parentElement, textContent } = texts.currentNode;
        if (/\bL\d+H\d+\b/.test(textContent) && !parentElement.closest(other))
            found.push(textContent);
    }
    return found;
})()"""


# Ask describes columns, and the heads there are examples of how they are written.
@pytest.mark.parametrize("name", [name for name in PAGES if name != "ask"])
def test_every_head_that_is_named_is_a_link(name: str, shown: Any, three: Session) -> None:
    page = shown(name)
    assert page.evaluate(UNLINKED) == []
    links = page.evaluate(
        "[...document.querySelectorAll('main a')].map(link => link.href)"
        ".filter(href => href.includes('head='))"
        ".map(href => new URLSearchParams(href.split('#')[1]).get('head'))"
    )
    heads = {
        f"{row['model']}:L{row['layer']}H{row['head']}"
        for row in three.rows("select distinct model, layer, head from profiles")
    }
    assert set(links) <= heads
    assert bool(links) == (name not in {"data", "prompts", "history"})


def test_a_head_in_a_chart_leads_to_its_page(shown: Any) -> None:
    page = shown("swaps")
    place = middle_of(page, "#nearest_0 .mark-symbol path")
    page.move_mouse(*place)
    pair = page.evaluate("headswap.views.get('nearest_0').data('data_0')[0].pair")
    page.loads(
        f"document.elementFromPoint({place[0]}, {place[1]}).dispatchEvent("
        "new MouseEvent('click', {bubbles: true}))"
    )
    assert page.evaluate(TITLE) == f"adhd {pair.split(' ')[-1]}"


# --- search ---------------------------------------------------------------------------------


def test_search_finds_layers_and_heads(shown: Any) -> None:
    page = shown("heads")
    for search, expected in {
        "h2": {f"{model} L{layer}H2" for model in MODELS for layer in range(2)},
        "L1H2": {f"{model} L1H2" for model in MODELS},
        "l1 ADHD": {f"adhd L1H{head}" for head in range(3)},
        "L1H22": set(),
    }.items():
        choose(page, "[name=find]", search)
        page.wait_for(f"document.querySelectorAll('#heads-grid a').length === {len(expected)}")
        assert set(page.evaluate(CARDS)) == expected
    page = shown("swaps")
    for search in ("h1", "L0H1"):
        choose(page, ".search", search)
        texts = page.evaluate(
            "[...document.querySelector('.linked').querySelectorAll('tbody tr:not([hidden])')]"
            ".map(row => [row.cells[1].textContent, row.cells[2].textContent].join(' '))"
        )
        assert texts
        assert all(search.upper() in text for text in texts)


# --- one head -------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_two_heads_stand_beside_each_other(
    width: int, theme: str, shown: Any, three: Session
) -> None:
    page = shown("head", width, theme)
    names = "['head', 'beside'].map(id => document.getElementById(`${id}-name`).textContent)"
    best = three.rows(
        "select model_a, layer_a, head_a, model_b, layer_b, head_b from matches "
        "inner join reference_head on model_a = model and layer_a = layer and head_a = head "
        "order by model_b limit 1"
    )[0]
    assert page.evaluate(names) == [
        f"standard L{best['layer_a']}H{best['head_a']}",
        f"adhd L{best['layer_b']}H{best['head_b']}",
    ]
    choose(page, "[name=beside]", "standard-twin:L1H2")
    drawn = "document.getElementById('beside_pattern-caption').textContent"
    page.wait_for(f"{drawn}.startsWith('standard-twin L1H2 on prompt 0')")
    heading = page.evaluate("document.querySelector('#head-scores thead').textContent")
    assert "standard-twin L1H2" in heading
    row = three.rows(
        "select score, value from head_scores where model = 'standard-twin' and layer = 1 "
        "and head = 2 and score = 'entropy'"
    )[0]
    values = page.evaluate(
        "[...document.querySelectorAll('#head-scores code')].find(name => "
        "name.textContent === 'entropy').closest('tr').querySelectorAll('data')[1].value"
    )
    assert float(values) == pytest.approx(row["value"], abs=1e-6)
    boxes = page.evaluate(
        "['head', 'beside'].map(id => document.getElementById(`${id}-view`)"
        ".getBoundingClientRect()).map(box => [box.left, box.top])"
    )
    # Beside each other where there is room, else one below the other.
    assert (boxes[0][1] == boxes[1][1]) == (width == 1400)
    choose(page, "[name=beside]", "none")
    page.wait_for("document.getElementById('beside-view').hidden")


def row_of(page: Page, slot: str, query: int) -> list[float]:
    """Where in the window the first cell of a pattern's row is."""
    place: list[float] = page.evaluate(
        f"""(chart => {{
            chart.scrollIntoView({{block: "center"}});
            const view = headswap.views.get(chart.id);
            const [box, [left, top], pad] = [chart.querySelector("canvas").getBoundingClientRect(),
                view.origin(), view.padding()];
            const [x, y] = ["x", "y"].map(axis => view.scale(`${{chart.id}}_${{axis}}`));
            return [box.left + pad.left + left + x(0) + x.bandwidth() / 2,
                box.top + pad.top + top + y({query}) + y.bandwidth() / 2];
        }})(document.getElementById("{slot}_pattern"))"""
    )
    return place


@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_tokens_and_pattern_show_what_is_pointed_at_in_the_other(
    width: int, theme: str, shown: Any
) -> None:
    page = shown("head", width, theme)
    frames = "[...document.querySelectorAll('.row-frame')].map(frame => frame.dataset.query)"
    marked = (
        "[...document.querySelectorAll('.tokens')].map(strip => "
        "[...strip.querySelectorAll('button')].findIndex(b => b.matches('.query')))"
    )
    last = page.evaluate("document.querySelectorAll('#head-tokens button').length") - 1
    page.move_mouse(*middle_of(page, "#head-tokens button", 3))
    page.wait_for(f"{frames}.join() === '3,3'")
    top, height = page.evaluate(
        "(box => [box.top + box.height / 2, box.height])"
        "(document.querySelector('#head_pattern .row-frame').getBoundingClientRect())"
    )
    scrolled = page.evaluate("scrollY")
    _, y = row_of(page, "head", 3)
    assert y + page.evaluate("scrollY") - scrolled == pytest.approx(top, abs=height / 4)
    # And back: a row of the pattern, in both strips.
    page.move_mouse(*row_of(page, "beside", 5))
    page.wait_for(f"{marked}.join() === '5,5'")
    assert page.evaluate("document.querySelector('#beside-tokens .key').textContent")
    page.move_mouse(2, 2)
    page.wait_for(f"{marked}.join() === '{last},{last}'")
    # A click keeps it, and so does a reload.
    page.click(*row_of(page, "head", 4))
    page.wait_for("location.hash === '#token=4'")
    page.loads("location.reload()")
    assert page.evaluate(marked) == [4, 4]


def test_pointing_at_a_head_shows_it_and_a_click_keeps_it(shown: Any) -> None:
    page = shown("head")
    first = page.evaluate(TITLE)
    others = page.evaluate("[...document.querySelectorAll('#head-grid a')].map(a => a.title)")
    at = next(number for number, name in enumerate(others) if name != first)
    place = middle_of(page, "#head-grid a", at)
    page.move_mouse(*place)
    page.wait_for(f"document.documentElement.dataset.head === {json.dumps(others[at])}")
    assert page.evaluate(TITLE) == others[at]
    assert page.evaluate("location.hash") == ""
    page.move_mouse(2, 2)
    page.wait_for(f"document.documentElement.dataset.head === {json.dumps(first)}")
    page.click(*place)
    page.wait_for("location.hash.includes('head=')")
    page.move_mouse(2, 2)
    page.wait_for(
        f"document.querySelector('#head-grid [aria-current]').title === {json.dumps(others[at])}"
    )
    assert page.evaluate(TITLE) == others[at]
    page.evaluate("history.back()")
    page.wait_for(f"document.documentElement.dataset.head === {json.dumps(first)}")


def test_scores_have_the_names_of_sql_in_groups(shown: Any, three: Session) -> None:
    page = shown("heads")
    groups = page.evaluate(
        "[...document.querySelectorAll('[name=score] optgroup')].map(group => "
        "[group.label, [...group.children].map(option => option.value)])"
    )
    stored = {
        row["score"]
        for row in three.rows(
            "select score from head_scores group by score having max(abs(value)) > 0"
        )
    }
    names = [name for _, scores in groups for name in scores]
    assert sorted(names) == sorted(stored | {"late_mass"})
    assert len(groups) == 4
