"""The pages of a site in a real browser: what they show is the SQL's, whatever is clicked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from reports.site.pages import write_history, write_report
from reports.site.rendering import MENU
from reports.study.runs import Run, append_run
from sql.session import Session, open_session
from tests.support.services.browser import AXE, CHARTS_DRAWN, Browser
from tests.support.synthetic import PROMPTS, SyntheticModel, write_synthetic_dataset

# The dataset has no effects; `test_effects` is about their page.
PAGES = [name for name in MENU if name != "effects"]


# --- every page -----------------------------------------------------------------------------


def test_site_has_every_page_of_its_menu(site: Path) -> None:
    assert {path.stem for path in site.glob("*.html")} == set(PAGES)
    for path in site.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert [name for name in MENU if f'href="{name}.html"' in text] == PAGES


@pytest.mark.parametrize("name", PAGES)
def test_page_asks_for_nothing_and_passes_axe_in_both_themes(
    name: str, browser: Browser, site: Path
) -> None:
    page = browser.open(site / f"{name}.html")
    assert page.errors == []
    assert page.requests == [(site / f"{name}.html").resolve().as_uri()]
    page.evaluate(AXE.read_text(encoding="utf-8") + "; true")
    for theme in ("light", "dark"):
        if theme == "dark":
            page.evaluate("document.getElementById('theme').click()")
            page.wait_for(f"{CHARTS_DRAWN} && document.documentElement.dataset.theme === 'dark'")
        found = page.evaluate(
            "axe.run().then(found => found.violations.map(rule => [rule.id, rule.impact, "
            "rule.nodes.slice(0, 3).map(node => node.html.slice(0, 200))]))"
        )
        assert [rule for rule in found if rule[1] in {"serious", "critical"}] == [], theme
    browser.close(page)


@pytest.mark.parametrize("name", PAGES)
def test_page_fits_a_narrow_window(name: str, browser: Browser, site: Path) -> None:
    page = browser.open(site / f"{name}.html", width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    browser.close(page)


def test_single_file_holds_every_page(browser: Browser, session: Session, tmp_path: Path) -> None:
    file = write_report(session, tmp_path, single_file=True)
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    page = browser.open(file)
    assert page.errors == []
    assert page.requests == [file.resolve().as_uri()]
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
    assert sorted(ids) == sorted(set(ids))
    names = page.evaluate("[...document.querySelectorAll('.page')].map(page => page.id)")
    assert names == PAGES
    page.evaluate("document.querySelector('#heads-grid a').click()")
    first = page.evaluate("document.querySelector('#heads-grid a').title")
    page.wait_for(f"document.getElementById('head-title').textContent === {json.dumps(first)}")
    browser.close(page)


def test_site_gives_the_same_bytes_again(site: Path, session: Session, tmp_path: Path) -> None:
    (tmp_path / "runs.jsonl").write_bytes((site / "runs.jsonl").read_bytes())
    write_report(session, tmp_path)
    for name in PAGES:
        texts = [(folder / f"{name}.html").read_text() for folder in (site, tmp_path)]
        # DuckDB writes the same rows as other bytes.
        texts = [re.sub(r'id="ask-rows">[^<]*<', 'id="ask-rows"><', text) for text in texts]
        assert texts[0] == texts[1], name


def test_pages_of_an_earlier_report_are_deleted_and_nothing_else(
    session: Session, tmp_path: Path
) -> None:
    one = write_synthetic_dataset(tmp_path / "one", [SyntheticModel("standard")], PROMPTS)
    out = tmp_path / "pages"
    write_report(session, out)
    assert (out / "swaps.html").is_file()
    (out / "notes.html").write_text("mine")
    (out / "effects.html").write_text("<h1>mine, too</h1>")
    with open_session(one) as opened:
        write_report(opened, out)
    assert not (out / "swaps.html").exists()
    assert (out / "notes.html").read_text() == "mine"
    assert (out / "effects.html").read_text() == "<h1>mine, too</h1>"


# --- heads ----------------------------------------------------------------------------------

CARDS = """[...document.querySelectorAll("#heads-grid a")]
    .map(card => [card.title, card.querySelector("data").value])"""


def test_head_finder_sorts_and_filters_by_the_sql_scores(opened: Any, session: Session) -> None:
    page = opened("heads")
    rows = session.rows(
        "select model || ' L' || layer || 'H' || head as name, value from head_scores "
        "where score = 'previous_token' order by round(value, 6) desc"
    )
    page.choose("[name=score]", "previous_token")
    page.wait_for("document.getElementById('heads-count').textContent.includes('previous_token')")
    shown = [(name, float(value)) for name, value in page.evaluate(CARDS)]
    assert len(shown) == len(rows) == 12
    assert dict(shown) == pytest.approx({row["name"]: row["value"] for row in rows}, abs=1e-6)
    assert [value for _, value in shown] == sorted((value for _, value in shown), reverse=True)

    bound = round(rows[4]["value"], 6)
    page.choose("[name=least]", str(bound))
    page.choose("[name=model]", "adhd")
    expected = {
        r["name"] for r in rows if round(r["value"], 6) >= bound and r["name"][:4] == "adhd"
    }
    page.wait_for(f"document.querySelectorAll('#heads-grid a').length === {len(expected)}")
    assert {name for name, _ in page.evaluate(CARDS)} == expected
    count = page.evaluate("document.getElementById('heads-count').textContent")
    assert count.startswith(f"{len(expected)} of 12 heads")


def test_head_page_shows_the_sql_numbers(opened: Any, session: Session) -> None:
    page = opened("head")
    prompt_id = 1
    page.evaluate(f"location.hash = 'head=adhd%3AL1H2&prompt={prompt_id}'")
    page.wait_for(f"{CHARTS_DRAWN} && document.documentElement.dataset.head === 'adhd L1H2'")
    scores = page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('#head-scores code')].map(name => "
        "[name.textContent, Number(name.closest('tr').querySelector('data')?.value ?? null)]))"
    )
    where = "model = 'adhd' and layer = 1 and head = 2"
    stored = {
        r["score"]: r["value"] for r in session.rows(f"select * from head_scores where {where}")
    }
    assert set(scores) - {"late_mass"} <= set(stored)
    for name in set(scores) - {"late_mass"}:
        assert scores[name] == pytest.approx(stored[name] or 0, abs=1e-6)

    matches = page.evaluate(
        "[...document.querySelectorAll('#head-matches tbody tr')].map(row => "
        "[row.cells[0].textContent, Number(row.querySelector('data').value)])"
    )
    ranked = session.rows(
        "select * from similarity_ranking where similarity = 'profile' "
        "and model_a = 'adhd' and layer_a = 1 and head_a = 2 and rank <= 3 order by rank"
    )
    assert [name for name, _ in matches] == [
        f"standard L{row['layer_b']}H{row['head_b']}" for row in ranked
    ]
    assert [value for _, value in matches] == pytest.approx(
        [row["value"] for row in ranked], abs=1e-6
    )

    # A token that is pointed at shows where it looks.
    page.evaluate("document.querySelectorAll('#head-tokens button')[5].focus()")
    shares = page.evaluate(
        "[...document.querySelectorAll('#head-tokens button')].map(token => "
        "Number(token.style.getPropertyValue('--share')))"
    )
    weights = session.rows(
        f"select key, weight from attention where {where} and prompt_id = {prompt_id} "
        "and query = 5 order by key"
    )
    assert shares[:6] == pytest.approx([row["weight"] for row in weights], abs=5.1e-5)
    assert set(shares[6:]) == {0}
    said = page.evaluate("document.getElementById('head-looks').textContent")
    assert f"{max(row['weight'] for row in weights):.4f}" in said
    labels = page.evaluate(
        "[...document.querySelectorAll('#head_pattern, #head_pattern *')]"
        ".map(element => element.getAttribute('aria-label'))"
    )
    assert f"Heat map. adhd L1H2 on prompt {prompt_id}, pair {prompt_id}, standard." in labels


# --- swaps ----------------------------------------------------------------------------------

HEADS = """[...document.querySelectorAll(".sortable tbody tr")]
    .filter(row => !row.hidden).map(row => row.querySelector("th a").textContent)"""


def test_ranking_shows_the_sql_numbers(opened: Any, session: Session) -> None:
    page = opened("swaps")
    shown = page.evaluate(
        """[...document.querySelectorAll("table[data-model=adhd] tbody tr")].map(row => [
            row.querySelector("th a").textContent, row.cells[2].textContent,
            Number(row.cells[3].firstChild.value), Number(row.cells[6].firstChild.value),
            row.cells[8].textContent])"""
    )
    expected = session.rows(
        "select * from similarity_ranking where similarity = 'profile' "
        "and model_a = 'standard' and model_b = 'adhd' and rank = 1 "
        "order by round(value, 9) desc, round(margin, 9) desc, layer_a, head_a"
    )
    assert len(shown) == len(expected) == 6
    for (head, best, cosine, margin, mutual), row in zip(shown, expected, strict=True):
        assert head == f"L{row['layer_a']}H{row['head_a']}"
        assert best == f"L{row['layer_b']}H{row['head_b']}"
        assert (cosine, margin) == pytest.approx((row["value"], row["margin"]), abs=1e-6)
        assert mutual == ("yes" if row["is_mutual"] else "no")


def test_ranking_sorts_and_filters(opened: Any, session: Session) -> None:
    page = opened("swaps")
    page.evaluate("document.querySelectorAll('.sortable th button')[1].click()")
    assert page.evaluate(HEADS) == [f"L{layer}H{head}" for layer in range(2) for head in range(3)]
    page.evaluate("document.querySelectorAll('.sortable th button')[1].click()")
    assert page.evaluate(HEADS)[0] == "L1H2"
    rows = session.rows(
        "select layer_a, head_a from matches where model_a = 'standard' and model_b = 'adhd' "
        "and is_mutual and is_moved"
    )
    page.choose(".filter", "moved mutual")
    assert set(page.evaluate(HEADS)) == {f"L{row['layer_a']}H{row['head_a']}" for row in rows}
    count = page.evaluate("document.querySelector('.count-shown').textContent")
    assert count == f"{len(rows)} of 6 heads"


# --- prompts, data, history -----------------------------------------------------------------


def test_prompts_show_the_attention_that_tokens_receive(opened: Any, session: Session) -> None:
    page = opened("prompts")
    page.choose("#prompts-model", "adhd")
    shown = page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('.prompt-text')].map(prompt => "
        "[prompt.dataset.prompt, [...prompt.querySelectorAll('.token')].map(token => "
        "getComputedStyle(token).getPropertyValue('--share').trim())]))"
    )
    stored = session.rows(
        "select prompt_id, key, avg(weight) as received from attention where model = 'adhd' "
        "and query <> key group by all"
    )
    assert len(shown) == len(PROMPTS) + 1
    for row in stored:
        share = float(shown[str(row["prompt_id"])][row["key"]])
        assert share == pytest.approx(row["received"], abs=1e-6)


def test_data_page_counts_the_rows(opened: Any, session: Session) -> None:
    n_rows = session.rows("select count(*) as n from attention")[0]["n"]
    title = opened("data").evaluate("document.querySelector('h1').textContent")
    assert title == f"{n_rows:,} attention weights of 2 models on 4 prompts"


def test_data_page_shows_the_checks_of_the_rows(opened: Any, session: Session) -> None:
    cells = (
        "[...document.querySelectorAll('.checks tbody tr')].map("
        "row => [...row.cells].map(cell => cell.innerText))"
    )
    shown = opened("data").evaluate(cells)
    stored = {row["model"]: row for row in session.rows("select * from row_checks")}
    assert [row[0] for row in shown] == ["standard", "adhd"]
    for model, rows, queries, missing, incomplete, error, tolerance, verdict in shown:
        check = stored[model]
        assert rows == f"{check['n_rows']:,}"
        assert queries == f"{check['n_queries']:,}"
        assert (missing, incomplete, verdict) == ("0", "0", "sound")
        assert float(error) == pytest.approx(check["largest_error"], rel=0.5)
        assert float(tolerance) == check["tolerance"]


def test_history_shows_the_runs_and_what_they_changed(opened: Any, site: Path) -> None:
    page = opened("history")
    assert (
        page.evaluate("document.querySelector('h1').textContent") == "1 verdict changed in 2 runs"
    )
    changed = page.evaluate("document.querySelector('.change').innerText")
    assert "standard:L0H0 in adhd held before and now fails" in changed
    rows = page.evaluate(
        "[...document.querySelectorAll('#runs tbody tr')].map(row => "
        "[row.cells[0].innerText, Number(row.querySelector('data').value)])"
    )
    assert rows == [["2026-11-24 10:00:00", 0.4], ["2026-11-23 10:00:00", 0.987654]]


def test_history_alone_is_written_anew(session: Session, remembered: Run, tmp_path: Path) -> None:
    write_report(session, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.html")}
    append_run(tmp_path, remembered)
    write_history(tmp_path)
    after = {path.name: path.read_bytes() for path in tmp_path.glob("*.html")}
    assert {name for name in before if before[name] != after[name]} == {"history.html"}
    assert "0.987654" in after["history.html"].decode()
