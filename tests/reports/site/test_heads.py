"""The pages of heads and of one head: what a reader chooses, points at and searches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from reports.site.pages import write_report
from sql.session import Session, open_session
from tests.support.reports.looks import WIDE, in_each_look
from tests.support.services.browser import Browser, Page
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

MODELS = ("standard", "adhd", "standard-twin")
PLACES = tuple(product(range(2), range(3)))
CARDS = "[...document.querySelectorAll('#heads-grid a')].map(card => card.title)"
TITLE = "document.getElementById('head-title').textContent"


# --- the address ----------------------------------------------------------------------------


@in_each_look
def test_heads_are_the_same_after_reload_and_back(width: int, theme: str, shown: Any) -> None:
    page = shown("heads", width, theme)
    for selector, value in [
        ("[name=score]", "entropy"),
        ("[name=order]", "up"),
        ("[name=model]", "adhd"),
        ("[name=prompt]", "2"),
    ]:
        page.choose(selector, value)
    page.wait_for("document.querySelectorAll('#heads-grid a').length === 6")
    page.wait_for("document.getElementById('heads-count').textContent.includes('prompt 2')")
    before = page.evaluate(CARDS)
    assert page.evaluate("location.hash") == "#score=entropy&order=up&model=adhd&prompt=2"
    page.loads("location.reload()")
    assert page.evaluate(CARDS) == before
    assert page.evaluate("document.querySelector('[name=score]').value") == "entropy"

    page.loads("document.querySelector('#heads-grid a').click()")
    assert page.evaluate(TITLE) == before[0]
    assert page.evaluate("document.querySelector('[name=prompt]').value") == "2"
    page.loads("history.back()")
    assert page.evaluate(CARDS) == before
    page.evaluate("history.back()")
    page.wait_for("document.querySelector('[name=prompt]').value === '0'")


# --- search ---------------------------------------------------------------------------------


@in_each_look
def test_search_finds_layers_and_heads(width: int, theme: str, seen: Any) -> None:
    page = seen("heads", width, theme)
    for search, expected in {
        "h2": {f"{model} L{layer}H2" for model in MODELS for layer in range(2)},
        "L1H2": {f"{model} L1H2" for model in MODELS},
        "l1 ADHD": {f"adhd L1H{head}" for head in range(3)},
        "L1H22": set(),
        "": {f"{model} L{layer}H{head}" for model in MODELS for layer, head in PLACES},
    }.items():
        page.choose("[name=find]", search)
        page.wait_for(f"document.querySelectorAll('#heads-grid a').length === {len(expected)}")
        assert set(page.evaluate(CARDS)) == expected


# --- one head -------------------------------------------------------------------------------


@in_each_look
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
    page.choose("[name=beside]", "standard-twin:L1H2")
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
    assert (boxes[0][1] == boxes[1][1]) == (width == WIDE)
    page.choose("[name=beside]", "none")
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


@in_each_look
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
    page.move_mouse(*page.middle_of("#head-tokens button", 3))
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


@in_each_look
def test_pointing_at_a_head_shows_it_and_a_click_keeps_it(
    width: int, theme: str, shown: Any
) -> None:
    page = shown("head", width, theme)
    first = page.evaluate(TITLE)
    others = page.evaluate("[...document.querySelectorAll('#head-grid a')].map(a => a.title)")
    at = next(number for number, name in enumerate(others) if name != first)
    place = page.middle_of("#head-grid a", at)
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


# --- scores ---------------------------------------------------------------------------------

GROUPS = """[...document.querySelectorAll("[name=score] optgroup")]
    .map(group => [group.label, [...group.children].map(option => option.value)])"""


@in_each_look
def test_scores_have_the_names_of_sql_in_groups(
    width: int, theme: str, seen: Any, three: Session
) -> None:
    groups = dict(seen("heads", width, theme).evaluate(GROUPS))
    stored = {
        row["score"]
        for row in three.rows(
            "select score from head_scores group by score having max(abs(value)) > 0"
        )
    }
    names = [name for scores in groups.values() for name in scores]
    assert sorted(names) == sorted(stored | {"late_mass"})
    assert len(groups) == 4


@pytest.fixture(scope="module")
def plain_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of a text of which no token is structural."""
    folder = tmp_path_factory.mktemp("plain")
    models = [SyntheticModel("standard"), SyntheticModel("adhd", seed=4)]
    dataset = write_synthetic_dataset(folder / "dataset", models, has_structural=False)
    with open_session(dataset) as opened:
        return write_report(opened, folder / "report").parent


@pytest.fixture(scope="module")
def plain(browser: Browser, plain_site: Path) -> Iterator[dict[str, Page]]:
    """Its pages of heads and of one head, each opened once."""
    pages = {name: browser.open(plain_site / f"{name}.html") for name in ("heads", "head")}
    yield pages
    for page in pages.values():
        assert page.errors == []
        browser.close(page)


@in_each_look
def test_without_structural_tokens_no_score_is_of_them(
    width: int, theme: str, plain: dict[str, Page]
) -> None:
    for page in plain.values():
        page.show_in(width, theme)
    groups = dict(plain["heads"].evaluate(GROUPS))
    names = [name for scores in groups.values() for name in scores]
    assert {"previous_token", "entropy"} <= set(names)
    assert not {"structural", "late_mass"} & set(names)
    rows = plain["head"].evaluate(
        "[...document.querySelectorAll('#head-scores tbody tr')].map(row => "
        "[row.querySelector('code')?.textContent ?? null, row.querySelectorAll('data').length])"
    )
    assert [name for name, _ in rows if name] == names
    # Every row of a score has the value of this head and of the one beside it.
    assert {n_values for name, n_values in rows if name} == {2}
    assert plain["head"].evaluate("document.getElementById('head-profile-part').hidden")
