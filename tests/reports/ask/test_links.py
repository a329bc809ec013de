"""Links to queries in Chromium: they follow what is chosen, and open Ask with the answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reports.site.links import Links
from reports.site.pages import write_report
from sql.session import Session, open_session
from tests.reports.ask.conftest import ANSWERED, shown_rows, text
from tests.support.reports.beside import index
from tests.support.services.browser import CHARTS_DRAWN, Browser, Page

# The folder of a report, the same in one file, and the session that it was written from.
Sites = tuple[Path, Path, Session]
HOSTILE = """it's <b title="$model">x</b> & \\ ' -- """


@pytest.fixture(scope="module")
def session(reference_dataset: Path) -> Iterator[Session]:
    with open_session(reference_dataset) as opened:
        yield opened


@pytest.fixture(scope="module")
def site(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(session, tmp_path_factory.mktemp("linked")).parent


@pytest.fixture(scope="module")
def single(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(session, tmp_path_factory.mktemp("linked"), single_file=True)


@pytest.fixture(scope="module")
def sites(site: Path, single: Path, session: Session) -> Sites:
    return site, single, session


def choose(page: Page, selector: str, value: str) -> None:
    """Sets a control as a person would, with its events."""
    page.evaluate(
        f"(control => {{ control.value = {json.dumps(value)};"
        " for (const kind of ['input', 'change'])"
        " control.dispatchEvent(new Event(kind, {bubbles: true})); })"
        f"(document.querySelector({json.dumps(selector)}))"
    )


def queries(page: Page, selector: str) -> list[tuple[str, str]]:
    """The ids of links, and the queries that they lead to."""
    found = page.evaluate(
        f"[...document.querySelectorAll({json.dumps(selector)})].map(link =>"
        " [link.id, new URLSearchParams(link.href.split('#')[1]).get('sql')])"
    )
    return [(name, sql) for name, sql in found]


def query(page: Page, selector: str) -> str:
    """The query of the first such link."""
    return queries(page, selector)[0][1]


def rows_of(session: Session, page: Page, link: str) -> list[dict[str, Any]]:
    return session.rows(query(page, f"#{link}"))


def choose_head(page: Page) -> None:
    page.evaluate("address.set({head: 'adhd:L1H2', beside: 'standard:L0H1', prompt: '2'})")
    page.wait_for(f"{CHARTS_DRAWN} && document.documentElement.dataset.head === 'adhd L1H2'")
    page.wait_for("document.getElementById('beside_pattern-caption').textContent.includes('L0H1')")


def choose_row(page: Page) -> None:
    page.evaluate("document.querySelector('.linked tr[data-row=\"7\"] .choose').click()")
    page.wait_for("document.querySelector('.linked').dataset.shown === '7'")


def choose_nothing(page: Page) -> None:
    """Of a page on which nothing is chosen."""


# A link of each page, after what is chosen there.
FOLLOWED = [
    pytest.param("index", "#verdict a.sql", choose_nothing, id="finding"),
    pytest.param("index", "#claim a:has(code)", choose_nothing, id="code"),
    pytest.param("heads", "#heads-sql", choose_nothing, id="heads"),
    pytest.param("head", "#head-scores-sql", choose_head, id="head"),
    pytest.param("head", "#beside_pattern-sql", choose_head, id="pattern"),
    pytest.param("swaps", "#nearest_0-sql", choose_row, id="swaps"),
    pytest.param("effects", "#effects figure a.sql", choose_nothing, id="effects"),
]


@pytest.mark.parametrize("form", ["folder", "single"])
@pytest.mark.parametrize(("name", "link", "chosen"), FOLLOWED)
def test_a_link_opens_ask_with_its_question_answered(
    form: str, name: str, link: str, chosen: Any, browser: Browser, sites: Sites
) -> None:
    site, single, session = sites
    page = browser.open(site / f"{name}.html" if form == "folder" else single)
    chosen(page)
    sql = query(page, link)
    click = f"document.querySelector({json.dumps(link)}).click()"
    if form == "folder":
        page.loads(click)
        assert page.evaluate("location.pathname").endswith("/ask.html")
    else:
        page.evaluate(click)
    page.wait_for(ANSWERED)
    assert text(page, "ask-error") == ""
    assert page.evaluate("document.getElementById('ask-sql').value") == sql
    # The table shows 1,000 rows at most.
    expected = session.query(sql).fetchall()[:1000]
    shown = shown_rows(page)
    if "order by" not in sql:
        shown = sorted(shown)
        expected = sorted(expected, key=lambda row: [str(value) for value in row])
    for cells, values in zip(shown, expected, strict=True):
        for cell, value in zip(cells, values, strict=True):
            if isinstance(value, int | float) and not isinstance(value, bool):
                assert float(cell) == pytest.approx(value, rel=1e-6, abs=1e-6)
    assert page.errors == []
    browser.close(page)


def test_a_link_takes_no_chart_along(browser: Browser, single: Path) -> None:
    page = browser.open(
        f"{single.resolve().as_uri()}#at=ask&sql=select 1 as n, 2 as m&chart=bar,0,1,"
    )
    page.wait_for(ANSWERED)
    page.evaluate(
        "(document.documentElement.dataset.ask = '', document.querySelector('#heads-sql').click())"
    )
    page.wait_for(ANSWERED)
    assert page.evaluate("address.get('chart')") is None
    page.evaluate("history.back()")
    page.wait_for("address.get('chart') === 'bar,0,1,'")
    browser.close(page)


# --- what scripts show ----------------------------------------------------------------------


def test_links_of_heads_follow_the_controls(browser: Browser, site: Path, session: Session) -> None:
    page = browser.open(site / "heads.html")
    cards = (
        "[...document.querySelectorAll('#heads-grid a')].map(card =>"
        " [card.title, card.querySelector('data').value])"
    )
    for number, chosen in enumerate(
        [
            {"score": "previous_token"},
            {"score": "late_mass", "order": "up", "layer": "1"},
            {"score": "entropy", "order": "place", "model": "adhd", "find": "H2"},
            {"score": "structural", "least": "0.1", "find": "std l0", "model": ""},
            {"score": "structural", "least": "0.05", "find": "STANDARD l0"},
        ]
    ):
        page.evaluate("document.getElementById('heads-grid').replaceChildren()")
        page.evaluate(
            "address.set(Object.fromEntries([...new FormData("
            "document.getElementById('heads-controls')).keys()].map(key => [key, null])))"
        )
        for name, value in chosen.items():
            choose(page, f"[name={name}]", value)
        asked = query(page, "#heads-sql")
        page.wait_for(
            f"document.getElementById('heads-count').textContent.includes('{chosen['score']}')"
        )
        shown = [(name, float(value)) for name, value in page.evaluate(cards)]
        asked = query(page, "#heads-sql")
        rows = session.rows(asked)
        assert len(shown) == len(rows), asked
        assert dict(shown) == pytest.approx(
            {f"{row['model']} {index(row)}": list(row.values())[-1] for row in rows}, abs=1e-6
        ), asked
        if chosen.get("order") != "place":
            values = [list(row.values())[-1] for row in rows]
            assert [value for _, value in shown] == pytest.approx(values, abs=1e-6)
        assert rows or number == 3
    browser.close(page)


def test_links_of_a_head_follow_the_choice(browser: Browser, site: Path, session: Session) -> None:
    page = browser.open(site / "head.html")
    choose_head(page)
    ids = {"head_profile-sql", "head-scores-sql", "head-matches-sql", "head-effects-sql"}
    ids |= {"head_pattern-sql", "beside_pattern-sql"}
    assert {name for name, _ in queries(page, "main a.sql")} == ids
    heads = {"head": ("adhd", 1, 2), "beside": ("standard", 0, 1)}

    for slot, (model, layer, head) in heads.items():
        shown = page.evaluate(
            f"atlas.pattern(...atlas.find('{model}:L{layer}H{head}'), atlas.prompt())"
        )
        stored = [[0.0] * len(weights) for weights in shown]
        for row in rows_of(session, page, f"{slot}_pattern-sql"):
            if row["query"] < len(shown):
                stored[row["query"]][row["key"]] = row["weight"]
        for weights, wanted in zip(shown, stored, strict=True):
            assert weights == pytest.approx(wanted, abs=5.1e-5)

    named = {
        f"{model} L{layer}H{head}": (model, layer, head) for model, layer, head in heads.values()
    }
    points = page.evaluate(
        "Object.values(headswap.views.get('head_profile').getState({data: () => true}).data)"
        ".find(rows => rows[0]?.mass !== undefined)"
    )
    masses = {
        (row["model"], row["layer"], row["head"], row["bin"]): row["mass"]
        for row in rows_of(session, page, "head_profile-sql")
    }
    assert len(masses) == len(points) == 40
    for point in points:
        at = round(point["share"] * 20 - 0.5)
        assert point["mass"] == pytest.approx(masses[*named[point["head"]], at], abs=1e-6)

    table = page.evaluate(
        "[...document.querySelectorAll('#head-scores tbody tr:not(.group)')].map(row =>"
        " [row.querySelector('code').textContent, ...[...row.cells].slice(1).map(cell =>"
        " cell.querySelector('data')?.value ?? cell.textContent)])"
    )
    scores = {
        (row["score"], row["model"]): (row["value"], row["rank"])
        for row in rows_of(session, page, "head-scores-sql")
    }
    assert len(table) > 5
    for score, *cells in table:
        for model, value, rank in (("adhd", *cells[:2]), ("standard", *cells[2:])):
            if value != "–":
                in_rows, its_rank = scores[score, model]
                assert float(value) == pytest.approx(in_rows, abs=1e-6)
                assert int(rank) == its_rank

    matches = page.evaluate(
        "[...document.querySelectorAll('#head-matches tbody tr')].map(row =>"
        " [row.cells[0].textContent, Number(row.querySelector('data').value)])"
    )
    assert matches == [
        [f"{row['model_b']} {index(row, '_b')}", pytest.approx(row["value"], abs=1e-6)]
        for row in rows_of(session, page, "head-matches-sql")
    ]

    # The head beside it is not among the best matches: then no cosine is known.
    page.evaluate("address.set({beside: null})")
    page.wait_for("document.getElementById('head_profile-caption').textContent.includes('cosine')")
    best = rows_of(session, page, "head-matches-sql")[0]
    assert text(page, "head_profile-caption") == (
        f"adhd L1H2 and standard {index(best, '_b')}: "
        f"cosine of two heads' contents {best['value']:.4f}"
    )

    sentences = text(page, "head-effects")
    (effect,) = rows_of(session, page, "head-effects-sql")
    assert (effect["layer"], effect["head"]) == (1, 2)
    assert f"rank {effect['rank']} of {effect['n_heads']}" in sentences
    browser.close(page)


def test_links_of_swaps_follow_the_choice(browser: Browser, site: Path, session: Session) -> None:
    page = browser.open(site / "swaps.html")
    choose_row(page)
    rows = rows_of(session, page, "nearest_0-sql")
    points = page.evaluate("headswap.views.get('nearest_0').data('data_0')")
    shown = {point["rank"]: (point["pair"], point["cosine"]) for point in points}
    assert shown == {
        row["rank"]: (f"L1H3 ↔ {index(row, '_b')}", pytest.approx(row["value"], abs=5.1e-5))
        for row in rows
    }
    assert text(page, "nearest_0-caption").endswith("standard L1H3")
    browser.close(page)


def test_links_of_prompts_follow_the_model(browser: Browser, site: Path, session: Session) -> None:
    page = browser.open(site / "prompts.html")
    choose(page, "#prompts-model", "adhd")
    name, sql = queries(page, "#prompts-list .sql")[0]
    titles = page.evaluate(
        f"[...document.getElementById('{name}').closest('section')"
        ".querySelectorAll('.token')].map(token => token.title)"
    )
    received = {row["key"]: row["received"] for row in session.rows(sql)}
    assert received
    for position, title in enumerate(titles):
        shown = re.search(r"adhd (0\.\d+)", title)
        if shown:
            assert float(shown[1]) == pytest.approx(received[position], abs=5.1e-5)
        else:
            assert position not in received
    browser.close(page)


# --- what is in a name ----------------------------------------------------------------------


def test_a_name_stays_a_text_in_the_query_and_in_the_link(browser: Browser, site: Path) -> None:
    links = Links([], is_single=False, has_ask=True)
    markup = str(
        links.sql(HOSTILE, "select $model as model, $n as n", name="x", model=HOSTILE, n=1)
    )
    page = browser.open(site / "swaps.html")
    page.evaluate(f"document.getElementById('notice').outerHTML = {json.dumps(markup)}")
    assert page.evaluate("[...document.querySelectorAll('main > *')].length") == page.evaluate(
        "[...document.querySelectorAll('main > a, main > article')].length"
    )
    assert page.evaluate("document.getElementById('x').ariaLabel") == f"SQL: {HOSTILE}"
    doubled = HOSTILE.replace("'", "''")
    assert query(page, "#x") == f"select '{doubled}' as model, 1 as n"
    page.evaluate(f"questions.follow(document.getElementById('x'), {{n: {json.dumps(HOSTILE)}}})")
    page.loads("document.getElementById('x').click()")
    page.wait_for(ANSWERED)
    assert shown_rows(page) == [[HOSTILE, HOSTILE]]
    assert page.evaluate("document.querySelector('main b')") is None
    browser.close(page)


def test_without_ask_queries_are_text(session: Session, tmp_path: Path) -> None:
    for single_file in (False, True):
        out = write_report(session, tmp_path / str(single_file), single_file, questions=None).parent
        pages = [path.read_text(encoding="utf-8") for path in out.glob("*.html")]
        assert len(pages) == (1 if single_file else 8)
        for page in pages:
            body = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
            assert "sql=" not in body
            assert 'class="sql"' not in body
            assert "data-sql" not in body
            assert not re.search(r"<a [^>]*><code>select", body)
        assert any("<code>select * from verdicts" in page for page in pages)
