"""The page of effects: its numbers are the rows', its verdict is the test's, absence is said."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import headswap
from reports.data import effect_wording
from reports.data.effects import Effects, Work, read_effects
from reports.data.queries import read_reference
from reports.site.pages import write_report
from sql.session import Session, open_session
from tests.support.page_text import text_of
from tests.support.reports.looks import CUT, LINKED, UNLINKED, in_each_look
from tests.support.services.browser import AXE, Browser, Page


@pytest.fixture(scope="module")
def session(reference_dataset: Path) -> Iterator[Session]:
    with open_session(reference_dataset) as opened:
        yield opened


@pytest.fixture(scope="module")
def site(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(session, tmp_path_factory.mktemp("effects")).parent


@pytest.fixture(scope="module")
def page(site: Path) -> str:
    return (site / "effects.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def effects(session: Session) -> Effects:
    return effects_of(session)


def effects_of(session: Session, others: tuple[str, ...] = ("adhd",)) -> Effects:
    found = read_effects(session, read_reference(session).head, list(others))
    assert found is not None
    return found


def numbers_in(text: str) -> list[float]:
    """The numbers of a part of a page, unrounded."""
    return [float(value) for value in re.findall(r'<data value="(.+?)">', text)]


def points_in(page: str, chart: str) -> list[dict[str, Any]]:
    """The data of a chart, which its layers share."""
    found = re.search(rf'id="{chart}-spec">(.*?)</script>', page)
    assert found
    spec = json.loads(found[1])
    values: list[dict[str, Any]] = spec["datasets"][spec["data"]["name"]]
    return values


def heading(page: str) -> str:
    found = re.search(r"<h1.*?>(.*?)</h1>", page)
    assert found
    return text_of(found[1])


def mean_effects(session: Session) -> dict[tuple[str, int, int], float]:
    """Of each head the mean over prompts of the mean over positions, added up here."""
    rows = session.rows(
        "select model, layer, head, prompt_id, delta_loss_nats from ablation_effects "
        "where kind = 'zero' and delta_loss_nats is not null"
    )
    by_prompt: dict[tuple[str, int, int], dict[int, list[float]]] = {}
    for row in rows:
        of_head = by_prompt.setdefault((row["model"], row["layer"], row["head"]), {})
        of_head.setdefault(row["prompt_id"], []).append(row["delta_loss_nats"])
    return {
        head: sum(sum(values) / len(values) for values in prompts.values()) / len(prompts)
        for head, prompts in by_prompt.items()
    }


def test_heading_counts_the_heads_that_change_more(session: Session, page: str) -> None:
    head = read_reference(session).head
    means = mean_effects(session)
    own = means[head.model, head.layer, head.head]
    others = [
        mean
        for (model, *place), mean in means.items()
        if model == head.model and place != [head.layer, head.head]
    ]
    n_more = sum(abs(mean) > abs(own) for mean in others)
    text = heading(page)
    assert text.startswith(
        f"Ablating {head} changes the loss by {effect_wording.signed(own)} nats (95 % interval "
    )
    assert text.endswith(f"; {n_more} of {len(others)} other heads change it more")


@pytest.mark.parametrize("model", ["standard", "adhd"])
def test_grid_and_table_hold_the_ranking(model: str, session: Session, page: str) -> None:
    rows = session.rows(
        "select * from ablation_ranking where model = $model order by rank", {"model": model}
    )
    assert len(rows) == 12
    number = ["standard", "adhd"].index(model)
    squares = points_in(page, f"effects_{number}")
    drawn = {(square["layer"], square["head"]): square["change"] for square in squares}
    means = {(row["layer"], row["head"]): row["mean_delta_loss_nats"] for row in rows}
    assert drawn == pytest.approx(means, abs=1e-6)
    own = {place[1:]: mean for place, mean in mean_effects(session).items() if place[0] == model}
    assert drawn == pytest.approx(own, abs=1e-6)
    table = re.search(rf'<table data-model="{model}" data-kind="zero">.*?</table>', page, re.DOTALL)
    assert table
    expected = [
        value
        for row in rows[:10]
        for value in (row["mean_delta_loss_nats"], row["low"], row["high"], row["mean_kl_nats"])
    ]
    assert numbers_in(table[0]) == pytest.approx(expected, abs=1e-6)
    names = re.findall(r'<th scope="row"><a [^>]+>(L\d+H\d+)</a>', table[0])
    assert names == [f"L{row['layer']}H{row['head']}" for row in rows[:10]]


def test_planted_twins_do_the_same_work(
    session: Session, effects: Effects, page: str, site: Path
) -> None:
    (work,) = effects.works
    (row,) = session.rows(
        "select functional_match.* from functional_match inner join reference_head "
        "on model = model_a and layer = layer_a and head = head_a"
    )
    assert (work.n_heads, work.n_beyond, work.n_beyond_matched) == (12, 12, 12)
    assert work.is_best
    assert work.correlation == pytest.approx(row["correlation"], abs=1e-8)
    assert work.p_value == pytest.approx(row["p_family"], abs=1e-8)
    sentence = effect_wording.work_sentence(work)
    assert sentence.startswith(
        f"{work.match}, its match by attention, does the work of {work.head}"
    )
    finding = text_of((site / "index.html").read_text(encoding="utf-8"))
    for text in (text_of(page), finding):
        assert sentence in text
        assert "Of 12 ablated heads of standard, 12 have" in text
    assert (effect_wording.effect_sentence(work) or "–") in text_of(page)
    assert "Not measured" not in finding


def test_work_beside_all_other_heads(session: Session, effects: Effects, page: str) -> None:
    (work,) = effects.works
    match = work.match
    assert match is not None
    means = {place: mean for place, mean in mean_effects(session).items() if place[0] == "adhd"}
    own = means.pop((match.model, match.layer, match.head))
    sizes = sorted(map(abs, means.values()))
    sentence = effect_wording.effect_sentence(work)
    assert sentence is not None
    assert f"changes the loss by {effect_wording.signed(own)} nats" in sentence
    assert f"{sum(size > abs(own) for size in sizes)} of 11 other heads of adhd" in sentence
    assert f"by {sizes[5]:.2g} nats" in sentence
    marked = [point for point in points_in(page, "work_0") if point["role"] != "other heads"]
    assert {point["name"]: point["role"] for point in marked} == {
        str(work.head): "reference",
        str(match): "match",
    }


def test_changed_tokens_are_counted(session: Session, effects: Effects) -> None:
    (work,) = effects.works
    for top in work.top_tokens:
        rows = session.rows(
            "select top_token_before <> top_token_after as differ from ablation_effects "
            "where kind = 'zero' and model = $model and layer = $layer and head = $head",
            vars(top.head),
        )
        assert (top.n_positions, top.n_changed) == (len(rows), sum(row["differ"] for row in rows))
        assert sum(change.n_positions for change in top.changes) <= top.n_changed
        assert all(change.before != change.after for change in top.changes)


def test_readout_and_correlations_hold_the_sql_numbers(session: Session, page: str) -> None:
    rows = session.rows("select * from class_probability_by_layer")
    assert rows
    drawn = {
        (point["model"], point["layer"]): point["probability"]
        for point in points_in(page, "readout_0")
    }
    expected = {(row["model"], row["layer"]): row["mean_probability"] for row in rows}
    assert drawn == pytest.approx(expected, abs=1e-6)

    table = re.search(r'<table id="effects-correlations">.*?</table>', page, re.DOTALL)
    assert table
    seeds = session.rows("select spearman from spearman_complexity_steps")
    shown = numbers_in(table[0])
    for row in seeds:
        if row["spearman"] is not None:
            assert round(row["spearman"], 6) in shown
    n_undefined = sum(map(int, re.findall(r"undefined for (\d+)", table[0])))
    assert n_undefined == sum(row["spearman"] is None for row in seeds)
    for row in session.rows("select median_change, p_sign, smallest_p from spearman_changes"):
        for value in row.values():
            assert value is None or round(value, 6) in shown


def test_page_of_a_head_says_what_ablating_it_changes(session: Session, site: Path) -> None:
    text = (site / "head.html").read_text(encoding="utf-8")
    found = re.search(r'id="head_effects">(.*?)</script>', text)
    assert found
    sentences = json.loads(found[1])
    means = mean_effects(session)
    assert len(sentences) == len(means) == 24
    for (model, layer, head), mean in means.items():
        (sentence,) = sentences[f"{model}:L{layer}H{head}"]
        assert f"changes by {effect_wording.signed(round(mean, 9))} nats" in sentence


@pytest.fixture(scope="module")
def opened(browser: Browser, site: Path) -> Iterator[Page]:
    file = site / "effects.html"
    page = browser.open(file)
    assert page.requests == [file.resolve().as_uri()]
    page.evaluate(AXE.read_text(encoding="utf-8") + "; true")
    yield page
    assert page.errors == []
    browser.close(page)


@in_each_look
def test_page_is_readable_and_passes_axe(width: int, theme: str, opened: Page) -> None:
    opened.show_in(width, theme)
    assert opened.evaluate(CUT) == [True, []]
    found = opened.evaluate(
        "axe.run().then(found => found.violations.map(rule => [rule.id, rule.impact]))"
    )
    assert [rule for rule in found if rule[1] in {"serious", "critical"}] == []


@in_each_look
def test_every_head_that_is_named_is_a_link(
    width: int, theme: str, opened: Page, session: Session
) -> None:
    opened.show_in(width, theme)
    assert opened.evaluate(UNLINKED) == []
    heads = {
        f"{row['model']}:L{row['layer']}H{row['head']}"
        for row in session.rows("select * from heads")
    }
    assert set() != set(opened.evaluate(LINKED)) <= heads


# --- what is absent -------------------------------------------------------------------------


def test_without_effects_there_is_no_page_and_the_command_is_named(
    ingested_reference: Path, tmp_path: Path
) -> None:
    with open_session(ingested_reference) as session:
        assert read_effects(session, read_reference(session).head, ["adhd"]) is None
        write_report(session, tmp_path)
    assert not (tmp_path / "effects.html").exists()
    finding = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "effects.html" not in finding
    assert "<code>headswap ablate DATASET</code>" in finding


def test_each_absent_table_is_said_with_its_command(
    ingested_reference: Path, tmp_path: Path
) -> None:
    dataset = Path(shutil.copytree(ingested_reference, tmp_path / "dataset"))
    assert headswap.main(["readout", str(dataset), "--class", "rest=close"]) == 0
    with open_session(dataset) as session:
        write_report(session, tmp_path / "read")
    page = (tmp_path / "read" / "effects.html").read_text(encoding="utf-8")
    assert heading(page) == "What the models write, and what their layers predict"
    assert "<code>headswap ablate DATASET</code> makes them" in page
    assert "<code>headswap generate DATASET --prompts FILE</code> makes them" in page
    assert "headswap readout DATASET" not in page

    words = ["--model=standard", "--head=L0H1", "--kind=mean"]
    assert headswap.main(["ablate", str(dataset), *words]) == 0
    with open_session(dataset) as session:
        effects = effects_of(session)
        write_report(session, tmp_path / "one")
    assert (effects.kind, effects.works) == ("mean", ())
    page = (tmp_path / "one" / "effects.html").read_text(encoding="utf-8")
    assert heading(page).startswith("Ablating standard L0H1 changes the loss by ")
    assert len(points_in(page, "effects_0")) == 1
    assert "Not measured" in (tmp_path / "one" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("p_value", "is_best", "begins"),
    [
        (0.001, True, "{match}, its match by attention, does the work of {head} ("),
        (0.001, False, "{best}, not its match by attention, does the work of {head} ("),
        (0.2, True, "No head of adhd does the work of {head} beyond chance (p = 0.20)"),
        (None, None, "Whether a head of adhd does the work of {head} is not tested"),
    ],
    ids=["match", "another", "none", "untested"],
)
def test_sentence_is_the_verdict_of_the_test(
    p_value: float | None, is_best: bool | None, begins: str, effects: Effects
) -> None:
    (work,) = effects.works
    changed = Work(**vars(work) | {"p_value": p_value, "is_best": is_best})
    assert effect_wording.work_sentence(changed).startswith(
        begins.format(match=work.match, best=work.best, head=work.head)
    )
