"""The page of swaps: one choice for matrix, title, histogram, lines and table; pairs; search."""

from __future__ import annotations

from typing import Any

import pytest

from sql.session import Session
from tests.support.reports.looks import in_each_look
from tests.support.services.browser import CHARTS_DRAWN

CHOSEN = """[...document.querySelectorAll(".linked:not([hidden]) .chart")]
    .map(chart => headswap.views.get(chart.id))
    .filter(view => "chosen_row" in view.getState({signals: () => true}).signals)
    .map(view => view.signal("chosen_row"))"""


@in_each_look
def test_head_chosen_in_the_table_or_a_chart_is_chosen_in_all(
    width: int, theme: str, shown: Any, three: Session
) -> None:
    page = shown("swaps", width, theme)
    page.evaluate("document.querySelector('.choose[aria-label=\"Show L1H1\"]').click()")
    page.wait_for("document.querySelector('.linked').dataset.shown === '4'")
    # The matrix, the nearest heads, the histogram and the lines.
    assert page.evaluate(CHOSEN) == [4, 4, 4, 4]
    nearest = page.evaluate(
        "headswap.views.get('nearest_0').data('data_0').map(row => [row.pair, row.cosine])"
    )
    row = three.rows(
        "select * from matches where model_a = 'standard' and layer_a = 1 and head_a = 1 "
        "and model_b = 'adhd'"
    )[0]
    best = max(nearest, key=lambda pair: float(pair[1]))
    assert best[0] == f"L1H1 ↔ L{row['layer_b']}H{row['head_b']}"
    assert best[1] == pytest.approx(row["value"], abs=1e-4)
    titles = page.evaluate(
        "['matrix', 'nearest', 'distribution'].map(name => "
        "document.getElementById(`${name}_0-caption`).textContent)"
    )
    as_alike = three.rows(
        "select count(*) filter (where value >= $cosine - 1e-9) as n, count(*) as all "
        "from similarities where similarity = 'profile' and model_a = 'standard' "
        "and model_b = 'adhd'",
        {"cosine": row["value"]},
    )[0]
    assert all("standard L1H1" in title for title in titles)
    assert titles[2].startswith(f"{as_alike['n']} of {as_alike['all']} pairs of heads")
    marked = page.evaluate(
        "headswap.views.get('distribution_0').getState({data: () => true}).data && "
        "[...document.querySelectorAll('#distribution_0 .role-legend-label text')]"
        ".map(label => label.textContent)"
    )
    assert marked[0].startswith(f"match L1H1 ↔ L{row['layer_b']}H{row['head_b']}: ")

    # Pointed at, a row of the matrix is shown; clicked, it is kept, and Back undoes that.
    first, last = (page.evaluate(cell_of("matrix_0", row)) for row in (0, 5))
    page.move_mouse(*last)
    page.wait_for("document.querySelector('.linked').dataset.shown === '5'")
    assert "L1H1" in page.evaluate("location.hash")
    page.click(*first)
    page.wait_for("location.hash === '#swap=L0H0' || location.hash === ''")
    page.move_mouse(1, 1)
    page.wait_for("document.querySelector('.linked').dataset.shown === '0'")
    assert page.evaluate(CHOSEN) == [0, 0, 0, 0]
    assert page.evaluate("document.querySelector('.chosen').textContent") == "L0H0"
    page.evaluate("history.back()")
    page.wait_for("document.querySelector('.linked').dataset.shown === '4'")


def cell_of(chart: str, row: int) -> str:
    """An expression of where in the window the first cell of a matrix's row is, of six."""
    return f"""(chart => {{
        chart.scrollIntoView({{block: "center"}});
        const [box, view] = [chart.getBoundingClientRect(), headswap.views.get("{chart}")];
        const [left, top] = view.origin();
        const [width, height] = ["width", "height"].map(name => view.signal(name));
        return [box.left + left + width / 12, box.top + top + height * {row + 0.5} / 6];
    }})(document.querySelector("#{chart} canvas"))"""


@in_each_look
def test_a_pair_and_a_head_of_swaps_stand_in_the_address(
    width: int, theme: str, shown: Any, three: Session
) -> None:
    page = shown("swaps", width, theme)
    visible = "[...document.querySelectorAll('.linked')].map(section => !section.hidden)"
    assert page.evaluate(visible) == [True, False]
    page.choose("#swaps-pair", "standard-twin")
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


@in_each_look
def test_a_head_in_a_chart_leads_to_its_page(width: int, theme: str, shown: Any) -> None:
    page = shown("swaps", width, theme)
    place = page.middle_of("#nearest_0 .mark-symbol path")
    page.move_mouse(*place)
    pair = page.evaluate("headswap.views.get('nearest_0').data('data_0')[0].pair")
    page.loads(
        f"document.elementFromPoint({place[0]}, {place[1]}).dispatchEvent("
        "new MouseEvent('click', {bubbles: true}))"
    )
    title = page.evaluate("document.getElementById('head-title').textContent")
    assert title == f"adhd {pair.split(' ')[-1]}"


@in_each_look
@pytest.mark.parametrize("search", ["h1", "L0H1"])
def test_search_in_the_table_finds_layers_and_heads(
    search: str, width: int, theme: str, seen: Any
) -> None:
    page = seen("swaps", width, theme)
    page.choose(".search", search)
    texts = page.evaluate(
        "[...document.querySelector('.linked').querySelectorAll('tbody tr:not([hidden])')]"
        ".map(row => [row.cells[1].textContent, row.cells[2].textContent].join(' '))"
    )
    assert texts
    assert all(search.upper() in text for text in texts)
    page.choose(".search", "")
