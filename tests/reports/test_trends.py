"""Trends over the checkpoints of a run, on the page of heads: the numbers are the view's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reports.data.trends import N_HEADS, PAGE_SCORES, read_trend, read_trends, runs
from reports.site.pages import write_report
from sql.session import open_session
from tests.support.synthetic import PROMPTS, SyntheticModel, write_synthetic_dataset

_STEPS = (0, 10, 1000)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two runs, of three checkpoints and of two, whose heads have nothing in common."""
    models = [
        SyntheticModel(f"a{step}", n_heads=4, seed=step, source=f"org/a@step{step}")
        for step in _STEPS
    ]
    models += [
        SyntheticModel(f"b{step}", n_heads=4, seed=step, source=f"org/b@step{step}")
        for step in _STEPS[:2]
    ]
    return write_synthetic_dataset(tmp_path / "dataset", models, PROMPTS * 3)


def test_the_page_of_heads_shows_the_views_numbers(dataset: Path, tmp_path: Path) -> None:
    with open_session(dataset) as session:
        write_report(session, tmp_path / "pages")
        trends = read_trends(session)
        assert runs(session) == ["org/a", "org/b"]
        expected = [
            (
                f"L{row['layer']}H{row['head']}",
                row["first_value"],
                row["last_value"],
                row["emergence_step"],
            )
            for trend in trends
            for row in session.rows(
                "select * from score_trends where run = $run and score = $score and step = 0 "
                "order by last_value desc, layer, head limit $n",
                {"run": trend.run, "score": trend.score, "n": N_HEADS},
            )
        ]
    text = (tmp_path / "pages" / "heads.html").read_text(encoding="utf-8")
    rows = re.findall(
        r"<td><a [^>]+>(L\d+H\d+)</a></td>"
        r'<td class="count"><data value="([\d.e-]+)">[\d.]+</data></td>'
        r'<td class="count"><data value="([\d.e-]+)">[\d.]+</data></td>'
        r'<td class="count">(?:<span class="none">–</span>|([\d,]+))</td>',
        text,
    )
    assert len(rows) == len(expected) == len(trends) * N_HEADS > 0
    for (name, first, last, step), wanted in zip(rows, expected, strict=True):
        assert name == wanted[0]
        assert (float(first), float(last)) == pytest.approx(wanted[1:3], abs=1e-6)
        assert (int(step.replace(",", "")) if step else None) == wanted[3]
    assert {row[3] for row in expected} > {None}
    for trend in trends:
        assert trend.title in text
    # Among the shown scores are all that are defined, of either run.
    assert {(trend.run, trend.score) for trend in trends} == {
        (run, score) for run in ("org/a", "org/b") for score in PAGE_SCORES
    }


def test_models_of_no_run_have_no_section(tmp_path: Path) -> None:
    models = [SyntheticModel("a"), SyntheticModel("b", source="org/b@step3")]
    dataset = write_synthetic_dataset(tmp_path / "dataset", models)
    with open_session(dataset) as session:
        assert read_trends(session) == ()
        write_report(session, tmp_path / "pages")
    assert "Over the training of" not in (tmp_path / "pages" / "heads.html").read_text()


def test_an_undefined_score_has_no_trend(dataset: Path) -> None:
    with open_session(dataset) as session:
        assert read_trend(session, "org/a", "own_step") is None
        trend = read_trend(session, "org/a", "entropy")
    assert trend is not None
    assert [point.step for point in trend.heads[0].points] == list(_STEPS)
    assert trend.n_heads == 8
