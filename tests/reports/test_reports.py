"""The report: what it reads, what it says, and the page in a real browser without a network."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import headswap
from ingest.dataset.commit import commit
from ingest.dataset.manifest import read_manifest
from reports.charts.theme import DARK, LIGHT, Theme
from reports.data import wording
from reports.data.patterns import MAX_TOKENS
from reports.data.queries import read_report
from reports.data.report import Head, Report
from reports.site.pages import write_report
from sql.parameters import Parameters
from sql.session import Session, open_session
from tests.support.running import Run
from tests.support.services.browser import Browser, Page, running_browser
from tests.support.synthetic import PROMPTS, SyntheticModel, write_synthetic_dataset

# Where each head of `standard` stands in `adhd`, as a flat index: places[there] == head.
PLACES = (4, 0, 5, 1, 2, 3)
STANDARD = SyntheticModel("standard")
ADHD = SyntheticModel("adhd", places=PLACES)
# Fewer heads than the others: some have no counterpart of the same index.
SMALL = SyntheticModel("small", n_layers=1, n_heads=2, seed=4)
HOSTILE = (
    "</script><script>window.hacked=1</script>",
    ("<!--", "<img src=x onerror=window.hacked=1>", "bell\x07\n"),
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models; the shortest prompt is one that tries to run scripts."""
    path = tmp_path_factory.mktemp("reports") / "dataset"
    return write_synthetic_dataset(path, [STANDARD, ADHD, SMALL], (*PROMPTS, HOSTILE))


@pytest.fixture(scope="module")
def session(dataset: Path) -> Iterator[Session]:
    # The published similarity: its numbers are those of the criterion, too.
    with open_session(dataset, Parameters(similarity="profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def report(session: Session) -> Report:
    return read_report(session)


@pytest.fixture(scope="module")
def page_file(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(session, tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture(scope="module")
def page(browser: Browser, page_file: Path) -> Page:
    return browser.open(page_file)


def report_of(path: Path, models: list[SyntheticModel], reference: str | None = None) -> Report:
    """The report of a new dataset of those models."""
    layer, head = (int(reference[1]), int(reference[3])) if reference else (None, None)
    parameters = Parameters(reference_layer=layer, reference_head=head, similarity="profile")
    with open_session(write_synthetic_dataset(path, models), parameters) as opened:
        return read_report(opened)


def specs_in(page_file: Path) -> dict[str, dict[str, Any]]:
    """The Vega-Lite specifications of a page by the chart's name."""
    found = re.findall(
        r'<script type="application/json" id="(.+?)-spec">(.*?)</script>',
        page_file.read_text(encoding="utf-8"),
    )
    return {name: json.loads(text) for name, text in found}


def rows_in(spec: dict[str, Any], column: str) -> list[dict[str, Any]]:
    """The rows of the data set of a chart that has that column; large ones are one text."""
    tables = (json.loads(d) if isinstance(d, str) else d for d in spec["datasets"].values())
    return next(rows for rows in tables if column in rows[0])


# --- what is read ---------------------------------------------------------------------------


def test_ranking_finds_the_planted_places(report: Report) -> None:
    found = {match.head.index: match for match in report.pairs[0].ranking}
    for head in range(6):
        place = PLACES.index(head)
        match = found[Head("standard", *divmod(head, 3)).index]
        assert match.best == Head("adhd", *divmod(place, 3))
        assert match.cosine == pytest.approx(1, abs=1e-6)
        assert match.is_mutual


def test_other_models_come_in_the_datasets_order(report: Report) -> None:
    assert [pair.claim.match.best.model for pair in report.pairs] == ["adhd", "small"]


def test_claim_that_holds_says_so_with_its_numbers(report: Report) -> None:
    claim = report.pairs[0].claim
    reference, best = claim.match.head, claim.match.best
    assert wording.claim_sentence(claim.criterion) == (
        f"{reference} ↔ {best}: cosine {claim.match.cosine:.3f}; "
        f"same index {reference.index}: {claim.same_index_reference:.3f}; "
        f"{best.index}: {claim.same_index_match:.3f} → the claim holds"
    )


def test_claim_without_a_move_does_not_hold(tmp_path: Path) -> None:
    report = report_of(tmp_path / "dataset", [STANDARD, replace(STANDARD, name="copy")])
    claim = report.pairs[0].claim
    assert wording.claim_sentence(claim.criterion).endswith("→ the claim does not hold")
    assert "has the same index" in wording.verdict_reason(claim.criterion)
    # A copy has every counterpart there is, whatever the published criterion says of moves.
    (verdict,) = report.verdicts
    assert verdict.n_beyond == verdict.n_heads
    best = report.reference.head.in_model("copy")
    assert wording.headline(report).startswith(
        f"{report.reference.head} has a counterpart beyond chance in {best} (p = "
    )


def test_claim_without_same_index_heads_names_their_absence(tmp_path: Path) -> None:
    report = report_of(tmp_path / "dataset", [STANDARD, SMALL], reference="L1H2")
    claim = report.pairs[0].claim
    assert claim.same_index_reference is None
    assert "same index L1H2: no such pair" in wording.claim_sentence(claim.criterion)


def test_spread_counts_all_pairs(report: Report, session: Session) -> None:
    cosines = sorted(
        row["value"]
        for row in session.rows(
            "select value from similarities "
            "where similarity = 'profile' and model_a = 'standard' and model_b = 'adhd'"
        )
    )
    spread = report.pairs[0].claim.spread
    assert spread.n_pairs == len(cosines) == 36
    assert spread.median == pytest.approx((cosines[17] + cosines[18]) / 2)
    assert spread.n_as_alike == sum(round(value, 9) >= round(cosines[-1], 9) for value in cosines)


def test_example_is_the_shortest_prompt(report: Report, session: Session) -> None:
    lengths = session.rows(
        "select prompt_id, count(*) as n from tokens group by all order by n, prompt_id"
    )
    assert report.example.prompt_id == lengths[0]["prompt_id"] == 3
    assert report.example.n_tokens == report.example.n_shown == lengths[0]["n"]


def test_long_example_is_cut(tmp_path: Path) -> None:
    prompts = [("Count", [" ".join(map(str, range(100)))])]
    path = write_synthetic_dataset(tmp_path / "dataset", [SMALL], prompts)
    with open_session(path) as opened:
        example = read_report(opened).example
    pattern = next(iter(example.patterns.values()))
    assert (example.n_tokens, example.n_shown) == (104, MAX_TOKENS)
    assert [len(row) for row in pattern.weights] == list(range(1, MAX_TOKENS + 1))


def test_variant_that_no_prompt_has_is_refused(run: Run, tmp_path: Path) -> None:
    path = write_synthetic_dataset(tmp_path / "dataset", [STANDARD])
    commit(path, replace(read_manifest(path), variant="all"))
    outcome = run("report", path, "--out", tmp_path / "out", "--variant", "adhd")
    assert outcome.code == 2
    assert "has no prompt of the variant 'adhd'" in outcome.err
    assert "Hint: it has standard" in outcome.err
    assert not (tmp_path / "out").exists()


def test_report_of_one_bin_is_refused(run: Run, dataset: Path, tmp_path: Path) -> None:
    outcome = run("report", dataset, "--out", tmp_path / "out", "--bins", "1")
    assert outcome.code == 2
    assert "has no later half" in outcome.err
    assert not (tmp_path / "out").exists()


# --- what is written ------------------------------------------------------------------------


def test_command_prints_the_path_of_the_page(run: Run, tmp_path: Path) -> None:
    path = write_synthetic_dataset(tmp_path / "dataset", [SMALL])
    outcome = run("report", path, "--out", tmp_path / "out", "--json")
    assert outcome.code == 0, outcome.err
    with open_session(path) as session:
        finding = wording.headline(read_report(session))
    assert json.loads(outcome.out) == {
        "finding": finding,
        "page": str(tmp_path / "out" / "index.html"),
    }
    # One model: no page of swaps.
    names = {"index", "heads", "head", "prompts", "ask", "data", "history"}
    assert {file.stem for file in (tmp_path / "out").iterdir()} == names


def test_same_dataset_gives_the_same_bytes(dataset: Path, page_file: Path, tmp_path: Path) -> None:
    words = ["report", str(dataset), "--similarity=profile"]
    assert headswap.main([*words, "--out", str(tmp_path)]) == 0
    assert (tmp_path / "index.html").read_bytes() == page_file.read_bytes()


def test_page_names_nothing_of_the_machine(page_file: Path, dataset: Path) -> None:
    assert str(dataset.parent) not in page_file.read_text(encoding="utf-8")


def test_profile_charts_hold_the_sql_numbers(page_file: Path, report: Report) -> None:
    rows = rows_in(specs_in(page_file)["profile_0_match"], "mass")
    for head, profile in report.pairs[0].profiles.items():
        shown = [row["mass"] for row in rows if row["head"] == str(head)]
        if shown:
            assert shown == pytest.approx(list(profile.mass), abs=1e-6)
    assert {row["head"] for row in rows} == {
        str(report.reference.head),
        str(report.pairs[0].claim.match.best),
    }


def test_matrix_chart_holds_the_sql_numbers(page_file: Path, session: Session) -> None:
    rows = rows_in(specs_in(page_file.with_name("swaps.html"))["matrix_0"], "cosine")
    found = session.rows(
        "select layer_a * 3 + head_a as row, layer_b * 3 + head_b as col, value "
        "from similarities "
        "where similarity = 'profile' and model_a = 'standard' and model_b = 'adhd'"
    )
    assert len(found) == 36
    for cell in found:
        assert rows[cell["row"]]["cosine"][cell["col"]] == pytest.approx(cell["value"], abs=1e-4)


def test_pattern_chart_holds_the_stored_weights(
    page_file: Path, report: Report, session: Session
) -> None:
    rows = rows_in(specs_in(page_file)["pattern_0_reference"], "weight")
    stored = session.rows(
        "select query, key, weight from attention where model = $model and layer = $layer "
        "and head = $head and prompt_id = $prompt_id",
        vars(report.reference.head) | {"prompt_id": report.example.prompt_id},
    )
    assert len(stored) == sum(len(row["weight"]) for row in rows) > 0
    for cell in stored:
        shown = rows[cell["query"]]["weight"][cell["key"]]
        assert shown == pytest.approx(cell["weight"], abs=1e-4)


# --- in the browser -------------------------------------------------------------------------


def test_page_has_no_errors_and_asks_for_nothing(page: Page, page_file: Path) -> None:
    assert page.errors == []
    assert page.requests == [page_file.resolve().as_uri()]


def test_every_chart_is_drawn(page: Page) -> None:
    marks = page.evaluate(
        """Object.fromEntries([...document.querySelectorAll("[data-spec]")].map(chart => {
            const canvas = chart.querySelector("canvas");
            if (!canvas) return [chart.id, chart.querySelectorAll("svg .mark-line path, "
                + "svg .mark-rect path").length];
            const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const colours = new Set();
            for (let at = 0; at < data.data.length; at += 4)
                colours.add(data.data.slice(at, at + 3).join());
            return [chart.id, colours.size];
        }))"""
    )
    assert {name.split("_")[0] for name in marks} == {"chance", "profile", "pattern"}
    # Lines and bars in SVG; on canvas the shades of a heat map and its legend.
    few = {name: n for name, n in marks.items() if n < (20 if name.startswith("pattern") else 1)}
    assert few == {}


def test_claims_show_the_sql_numbers(page: Page, session: Session) -> None:
    for claim in session.rows("select * from swap_claims"):
        article = f"article.claim[data-model={claim['model_b']}]"
        shown = page.evaluate(
            f"[...document.querySelectorAll('{article} .value data')]"
            ".map(data => Number(data.value))"
        )
        names = ("cosine", "same_index_cosine_a", "same_index_cosine_b")
        expected = [claim[name] for name in names if claim[name] is not None]
        assert shown == pytest.approx(expected[: len(shown)], abs=1e-6)
        # A model of another shape has no same index.
        n_shown = 0 if claim["model_b"] == "small" else len(expected) if claim["is_moved"] else 1
        assert len(shown) == n_shown


def test_hostile_tokens_are_text(page: Page) -> None:
    assert page.evaluate("document.querySelector('.prompt').textContent").startswith(
        f"<|task|>{HOSTILE[0]}<|steps|><!--"
    )
    # Hovering shows the tokens, too.
    page.evaluate("document.querySelector('.chart canvas').scrollIntoView()")
    left, top, width, height = page.evaluate(
        "(box => [box.left, box.top, box.width, box.height])"
        "(document.querySelector('.chart canvas').getBoundingClientRect())"
    )
    texts = ""
    for step in range(4, 20):
        page.move_mouse(left + width * 0.32, top + height * step / 20)
        page.evaluate("new Promise(done => setTimeout(done, 50))")
        texts += page.evaluate("document.getElementById('vg-tooltip-element')?.textContent ?? ''")
    assert HOSTILE[0] in texts
    assert "bell\\x07↵" in texts
    assert page.evaluate("typeof window.hacked") == "undefined"
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    assert page.errors == []


def test_injected_scripts_are_refused_by_the_page(page: Page) -> None:
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'),"
        "{textContent: 'window.hacked = 1'}))"
    )
    assert page.evaluate("typeof window.hacked") == "undefined"


def test_page_fits_a_narrow_window(browser: Browser, page_file: Path) -> None:
    page = browser.open(page_file, width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.errors == []
    browser.close(page)


def test_page_of_one_model_says_that_a_swap_needs_two(browser: Browser, tmp_path: Path) -> None:
    path = write_synthetic_dataset(tmp_path / "dataset", [STANDARD])
    with open_session(path) as opened:
        page = browser.open(write_report(opened, tmp_path / "out"))
    text = page.evaluate("document.body.innerText")
    assert "This dataset holds one model, standard." in text
    assert page.evaluate("document.querySelectorAll('#model-heads tbody tr').length") == 6
    assert page.evaluate("document.querySelectorAll('.chart.vega-embed').length") == 2
    assert page.errors == []


# The grounds of the page and of all charts that are drawn as SVG, without repeats; their texts.
GROUNDS = "[...new Set([document.body, ...document.querySelectorAll('.chart svg.marks')]"
GROUNDS += ".map(part => getComputedStyle(part).backgroundColor))]"
CHART_TEXTS = "[...document.querySelectorAll('.chart svg.marks text')].map(t => t.textContent)"
DRAWN = "document.documentElement.dataset.charts === 'drawn'"


def test_page_is_dark_where_the_reader_wants_it(browser: Browser, page_file: Path) -> None:
    page = browser.open(page_file)
    texts = page.evaluate(CHART_TEXTS)
    assert len(texts) > 20
    assert page.evaluate(GROUNDS) == [_rgb(LIGHT)]

    dark = {"name": "prefers-color-scheme", "value": "dark"}
    page.command("Emulation.setEmulatedMedia", features=[dark])
    page.wait_for(f"{DRAWN} && document.documentElement.dataset.theme === 'dark'")
    assert page.evaluate(GROUNDS) == [_rgb(DARK)]
    assert page.evaluate(CHART_TEXTS) == texts

    # The reader's word goes before the system's; the button is reached by the keyboard.
    page.evaluate("document.getElementById('theme').focus()")
    assert page.evaluate("document.activeElement.textContent") == "Light"
    for kind in ("keyDown", "keyUp"):
        page.command("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r")
    page.wait_for(f"{DRAWN} && document.documentElement.dataset.theme === 'light'")
    assert page.evaluate(GROUNDS) == [_rgb(LIGHT)]
    assert page.evaluate(CHART_TEXTS) == texts
    assert page.errors == []
    browser.close(page)


def _rgb(theme: Theme) -> str:
    """A theme's ground as browsers tell colours."""
    return "rgb({}, {}, {})".format(*bytes.fromhex(theme.paper[1:]))
