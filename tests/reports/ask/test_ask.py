"""The page Ask in Chromium and Firefox, from a file and without a network."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from reports.site.pages import write_report
from sql.console.examples import examples
from sql.session import Session, open_session
from tests.reports.ask.conftest import ANSWERED, Open, Tab, ask, shown_rows, text
from tests.support.services.browser import AXE, CHARTS_DRAWN, Browser, Page

ENDLESS = "select count(*) from range(100000000) as a, range(100000000) as b, range(1000) as c"
SCORES = "select model, layer, head, value from head_scores where score = 'structural' order by all"


def assert_quiet(tab: Tab) -> None:
    """Nothing was reported as an error, and nothing asked for beyond the page itself."""
    assert tab.errors == []
    own = ("file:", "blob:", "data:")
    assert [address for address in tab.requests if not address.startswith(own)] == []


def assert_alike(shown: list[list[str]], expected: list[tuple[Any, ...]]) -> None:
    """The rows in the table are those of the other engine, numbers within 1e-9."""
    assert len(shown) == len(expected)
    for cells, values in zip(shown, expected, strict=True):
        for cell, value in zip(cells, values, strict=True):
            if isinstance(value, int | float) and not isinstance(value, bool):
                assert float(cell) == pytest.approx(value, rel=1e-9, abs=1e-9)
            else:
                wanted = "null" if value is None else str(value)
                assert cell == (wanted.lower() if isinstance(value, bool) else wanted)


# --- answers --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo_page(demo_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page Ask of the demo models."""
    with open_session(demo_dataset) as session:
        return write_report(session, tmp_path_factory.mktemp("demo")).with_name("ask.html")


def test_every_question_of_the_cookbook_is_answered_as_by_duckdb_here(
    open_page: Open, demo_page: Path, demo_dataset: Path
) -> None:
    assert demo_page.stat().st_size < 25_000_000
    tab = open_page(demo_page)
    listed = tab.evaluate(
        "[...document.querySelectorAll('#ask-examples button')].map(button => button.textContent)"
    )
    assert listed == [example.question for example in examples()]
    with open_session(demo_dataset) as session:
        for number, example in enumerate(examples()):
            tab.evaluate(f"document.querySelectorAll('#ask-examples button')[{number}].click()")
            ask(tab, tab.evaluate("document.getElementById('ask-sql').value"))
            assert text(tab, "ask-error") == "", example.question
            expected = session.query(example.query)
            headings = tab.evaluate(
                "[...document.querySelectorAll('#ask-table th')].map(cell => cell.textContent)"
            )
            assert headings == expected.columns
            assert_alike(shown_rows(tab), expected.fetchall())
    assert_quiet(tab)


def test_wrong_question_gives_the_message_of_duckdb_in_place(
    open_page: Open, small_page: Path
) -> None:
    tab = open_page(small_page)
    ask(tab, "select layer, nothing from head_scores")
    message = text(tab, "ask-error")
    assert message.startswith('Binder Error: Referenced column "nothing" not found')
    assert "LINE 1: select layer, nothing from head_scores" in message
    assert tab.evaluate("document.getElementById('ask-result').hidden")
    ask(tab, "select 1 as one")
    assert shown_rows(tab) == [["1"]]
    assert tab.evaluate("document.getElementById('ask-error').hidden")
    assert_quiet(tab)


def test_question_of_what_the_page_lacks_says_why(open_page: Open, small_page: Path) -> None:
    tab = open_page(small_page)
    ask(tab, "select count(*) from ablation_ranking")
    message = text(tab, "ask-error")
    assert "Table with name ablation_ranking does not exist" in message
    assert message.endswith(
        "ablation_ranking is not in this page: the dataset has no ablation_effects; "
        "headswap ablate makes them."
    )
    assert_quiet(tab)


def test_question_without_end_can_be_stopped(open_page: Open, small_page: Path) -> None:
    tab = open_page(small_page)
    ask(tab, "select 1 as one")
    tab.evaluate(
        f"(document.getElementById('ask-sql').value = {json.dumps(ENDLESS)},"
        " document.documentElement.dataset.ask = '',"
        " document.getElementById('ask-form').requestSubmit(), true)"
    )
    tab.wait_for("document.getElementById('ask-status').textContent === 'Asking …'")
    time.sleep(1)
    began = time.monotonic()
    tab.evaluate("document.getElementById('ask-stop').click()")
    tab.wait_for(ANSWERED)
    assert time.monotonic() - began < 20
    assert text(tab, "ask-status") == "Stopped."
    ask(tab, "select count(*) as n from models")
    assert shown_rows(tab) == [["2"]]
    assert_quiet(tab)


def test_question_in_the_address_is_answered_and_survives_a_reload(
    open_page: Open, small_page: Path, small_session: Session
) -> None:
    tab = open_page(small_page, f"#sql={quote(SCORES)}&chart=bar,3,0,")
    expected = small_session.query(SCORES).fetchall()
    for _ in range(2):
        tab.wait_for(ANSWERED)
        assert tab.evaluate("document.getElementById('ask-sql').value") == SCORES
        assert_alike(shown_rows(tab), expected)
        assert tab.evaluate("document.querySelector('#ask-chart-controls [name=mark]').value") == (
            "bar"
        )
        tab.reload()
    tab.wait_for(ANSWERED)
    ask(tab, "select 2 as two")
    assert "two" in tab.evaluate("location.hash")
    tab.evaluate("(document.documentElement.dataset.ask = '', history.back(), true)")
    tab.wait_for(ANSWERED)
    assert_alike(shown_rows(tab), expected)
    assert_quiet(tab)


def test_engine_starts_with_the_first_question(browser: Browser, small_page: Path) -> None:
    page = browser.open(small_page)
    assert page.requests == [small_page.resolve().as_uri()]
    ask(page, "select 1 as one")
    assert [address.partition(":")[0] for address in page.requests] == ["file", "blob"]
    browser.close(page)


def test_no_network_is_asked_whatever_the_question(browser: Browser, small_page: Path) -> None:
    page = browser.open(small_page)
    for sql in (
        "install httpfs",
        "load httpfs",
        "load spatial",
        "from 'https://example.org/x.parquet'",
        "from read_csv('https://example.org/x.csv')",
        "attach 'https://example.org/x.duckdb' as x",
        "set enable_external_access = true",
        "set custom_extension_repository = 'https://example.org'",
        "select json('{}')",
        "copy models to 'https://example.org/x.csv'",
        "create table page_rows.x as select 1",
    ):
        ask(page, sql)
        assert "answered" in page.evaluate("document.documentElement.dataset.ask")
    assert [address.partition(":")[0] for address in page.requests] == ["file", "blob"]
    # The policy, not goodwill: what the page itself would fetch is refused.
    page.evaluate("fetch('https://example.org/').then(() => 'fetched', () => 'refused')")
    assert any("Content Security Policy" in error for error in page.errors)
    browser.close(page)


def test_whole_report_in_one_file_answers(
    open_page: Open, small_session: Session, tmp_path: Path
) -> None:
    tab = open_page(write_report(small_session, tmp_path, single_file=True))
    ask(tab, SCORES)
    assert_alike(shown_rows(tab), small_session.query(SCORES).fetchall())
    assert_quiet(tab)


# --- the result -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(browser: Browser, small_page: Path) -> Iterator[Page]:
    """One tab for the tests of results: its engine has started."""
    opened = browser.open(small_page)
    ask(opened, "select 1 as one")
    yield opened
    assert opened.errors == []
    browser.close(opened)


def test_headings_sort_all_rows_up_and_down(page: Page) -> None:
    ask(page, "select * from (values (2, 'b'), (10, null), (1, 'a'), (null, 'c')) as x(n, word)")
    for column, orders in (
        (0, (["1", "2", "10", "null"], ["10", "2", "1", "null"])),
        (1, (["a", "b", "c", "null"], ["c", "b", "a", "null"])),
    ):
        for order in orders:
            page.evaluate(f"document.querySelectorAll('#ask-table th button')[{column}].click()")
            assert [row[column] for row in shown_rows(page)] == order
    assert page.evaluate("document.querySelectorAll('#ask-table th')[1].ariaSort") == "descending"


@pytest.mark.parametrize(
    ("sql", "mark", "places"),
    [
        (
            "select bin, mass from profiles where layer = 0 and head = 0 and model = 'a'",
            "line",
            ("bin", "mass", ""),
        ),
        (
            "select model, bin, avg(mass) as mass from profiles group by all order by all",
            "line",
            ("bin", "mass", "model"),
        ),
        (
            "select layer, head, value from head_scores where score = 'structural' and model = 'a'",
            "rect",
            ("head", "layer", "value"),
        ),
        (SCORES, "bar", ("value", "model", "")),
        ("select range as n, n * n as square from range(20)", "point", ("n", "square", "")),
        ("select model, task from models, prompts", "none", ("", "", "")),
        ("select 1 as one", "none", ("", "", "")),
    ],
)
def test_chart_follows_from_the_columns(
    sql: str, mark: str, places: tuple[str, str, str], page: Page
) -> None:
    ask(page, sql)
    chosen = page.evaluate(
        "['mark', 'x', 'y', 'colour'].map(name => document.querySelector("
        "`#ask-chart-controls [name=${name}]`)).map(list => list.name === 'mark' ? list.value "
        ": list.value && list.selectedOptions[0].text)"
    )
    assert chosen == [mark, *places]
    is_hidden = page.evaluate("document.getElementById('ask-figure').hidden")
    assert is_hidden == (mark == "none")
    if mark != "none":
        drawn = page.evaluate("headswap.views.get('ask-chart').data('source_0').length")
        assert drawn == len(shown_rows(page))


def test_saved_file_has_the_rows_in_full(
    browser: Browser, page: Page, small_session: Session, tmp_path: Path
) -> None:
    browser.command(
        "Browser.setDownloadBehavior",
        {
            "behavior": "allow",
            "downloadPath": str(tmp_path),
            "browserContextId": page.context_id,
        },
    )
    sql = f"select *, 'a \"word\", and' as word from ({SCORES})"
    ask(page, sql)
    page.evaluate("document.getElementById('ask-csv').click()")
    deadline = time.monotonic() + 30
    while not (file := tmp_path / "result.csv").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    header, *rows = csv.reader(file.read_text(encoding="utf-8").splitlines())
    expected = small_session.query(sql)
    assert header == expected.columns
    assert_alike(rows, expected.fetchall())


def test_long_result_is_cut_and_says_so(page: Page) -> None:
    ask(page, "select range as n from range(150000)")
    assert text(page, "ask-status").startswith("the first 100,000 rows in ")
    assert len(shown_rows(page)) == 1000
    assert text(page, "ask-shown").startswith("The table shows 1,000 of 100,000 rows")


# --- without a mouse, and for readers of screens ----------------------------------------------


def press(page: Page, key: str, code: int, characters: str = "", modifiers: int = 0) -> None:
    """Presses one key."""
    event = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
    page.command("Input.dispatchKeyEvent", type="keyDown", text=characters, **event)
    page.command("Input.dispatchKeyEvent", type="keyUp", **event)


def tab_to(page: Page, selector: str) -> None:
    """Goes to an element by the tab key alone."""
    for _ in range(200):
        if page.evaluate(f"document.activeElement.matches({json.dumps(selector)})"):
            return
        press(page, "Tab", 9)
    raise AssertionError(f"the tab key does not lead to {selector}")


def test_keyboard_alone_completes_asks_sorts_and_charts(browser: Browser, small_page: Path) -> None:
    page = browser.open(small_page)
    tab_to(page, "#ask-sql")
    press(page, "a", 65, modifiers=2)
    page.command("Input.insertText", text="select layer, head, value from head_sc")
    options = "[...document.querySelectorAll('#ask-completions li code')].map(li => li.textContent)"
    assert page.evaluate(options) == ["head_scores"]
    press(page, "ArrowDown", 40)
    press(page, "Enter", 13, "\r")
    page.command("Input.insertText", text=" where head_scores.sc")
    assert page.evaluate(options) == ["score"]
    press(page, "ArrowDown", 40)
    press(page, "Enter", 13, "\r")
    page.command("Input.insertText", text=" = 'structural' and model = 'a'")
    assert page.evaluate("document.getElementById('ask-completions').hidden")
    tab_to(page, "#ask-run")
    press(page, "Enter", 13, "\r")
    page.wait_for(ANSWERED)
    assert len(shown_rows(page)) == 6
    tab_to(page, "#ask-table th:nth-child(3) button")
    for sign in (1, -1):
        press(page, "Enter", 13, "\r")
        values = [sign * float(row[2]) for row in shown_rows(page)]
        assert values == sorted(values)
    tab_to(page, "#ask-chart-controls [name=mark]")
    before = page.evaluate("document.querySelector('#ask-chart svg').outerHTML.length")
    press(page, "b", 66, "b")
    page.wait_for("document.querySelector('#ask-chart-controls [name=mark]').value === 'bar'")
    page.wait_for(f"document.querySelector('#ask-chart svg')?.outerHTML.length !== {before}")
    assert page.errors == []
    browser.close(page)


def test_answer_passes_axe_in_both_themes_and_fits_a_narrow_window(
    browser: Browser, small_page: Path
) -> None:
    page = browser.open(small_page, width=390)
    page.evaluate(AXE.read_text(encoding="utf-8") + "; true")
    for theme in ("light", "dark"):
        if theme == "dark":
            page.evaluate("document.getElementById('theme').click()")
            page.wait_for(f"{CHARTS_DRAWN} && document.documentElement.dataset.theme === 'dark'")
        for sql in (SCORES, "select nothing from models"):
            ask(page, sql)
            found = page.evaluate(
                "axe.run().then(found => found.violations.map(rule => [rule.id, rule.impact, "
                "rule.nodes.slice(0, 3).map(node => node.html.slice(0, 200))]))"
            )
            assert [rule for rule in found if rule[1] in {"serious", "critical"}] == [], theme
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
    browser.close(page)
