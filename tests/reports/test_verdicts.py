"""The first line of a page is the verdict of a test, on models that nobody chose for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reports.data import wording
from reports.data.queries import read_report
from reports.data.report import Head, Verdict
from reports.data.verdicts import count_sentence, match_sentence, same_index_sentence
from reports.site.pages import write_report
from sql.parameters import Parameters
from sql.session import open_session
from tests.support.page_text import text_of
from tests.support.running import REFERENCE, Run
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

FEW = Parameters(n_splits=2, n_draws=999)
HEAD = Head("a", 1, 2)
NOTHING = Verdict("a", "b", "content", 12, 12, 0, 0.18, Head("b", 0, 1), 0.4, 0.6, 1, 0.05)


def _ingest(run: Run, out: Path, *models: str, prompts: Path | None = None) -> Path:
    words = [f"--model={model}" for model in models]
    words += ["--prompts", str(prompts)] if prompts else []
    assert run("ingest", *words, "--out", out).code == 0
    return out


def test_two_untrained_models_have_nothing_beyond_chance(run: Run, tmp_path: Path) -> None:
    bundle = REFERENCE / "standard"
    sources = [f"one=untrained:11:{bundle}", f"two=untrained:12:{bundle}"]
    out = _ingest(run, tmp_path / "dataset", *sources)
    with open_session(out, FEW) as session:
        report = read_report(session)
        page = text_of(write_report(session, tmp_path / "pages").read_text(encoding="utf-8"))
    (verdict,) = report.verdicts
    assert (verdict.n_tested, verdict.n_beyond) == (12, 0)
    title = wording.headline(report)
    assert title.startswith(f"No head of two matches {report.reference.head} beyond chance (p = ")
    assert title in page
    assert "None of 12 heads of one has a counterpart in two beyond chance" in page
    assert "Heads of the same index are no more alike than by chance" in page
    assert "the more it misses (here 12)." in page
    swaps = (tmp_path / "pages" / "swaps.html").read_text(encoding="utf-8")
    assert ">None of 12 heads of one has a counterpart in two beyond chance" in swaps


def test_a_permuted_copy_is_found(run: Run, tmp_path: Path) -> None:
    sources = [f"{name}={REFERENCE / name}" for name in ("standard", "adhd")]
    out = _ingest(run, tmp_path / "dataset", *sources)
    with open_session(out, FEW) as session:
        report = read_report(session)
    (verdict,) = report.verdicts
    assert verdict.n_beyond == verdict.n_heads == 12
    reference = report.reference.head
    assert wording.headline(report).startswith(f"{reference} has a counterpart beyond chance in ")
    assert wording.swaps_title(report) == (
        "12 of 12 heads of standard have a counterpart in adhd beyond chance (family-wise 5%)"
    )


def test_a_trained_model_is_not_matched_with_an_untrained_one(run: Run, tmp_path: Path) -> None:
    bundle = REFERENCE / "standard"
    out = _ingest(run, tmp_path / "dataset", f"one={bundle}", f"two=untrained:13:{bundle}")
    with open_session(out, FEW) as session:
        (verdict,) = read_report(session).verdicts
    assert verdict.n_beyond == 0


def test_models_of_two_shapes_have_no_same_index(tmp_path: Path) -> None:
    models = [SyntheticModel("a", seed=1), SyntheticModel("b", n_layers=3, n_heads=2, seed=2)]
    dataset = write_synthetic_dataset(tmp_path / "dataset", models)
    with open_session(dataset, FEW) as session:
        (verdict,) = read_report(session).verdicts
    assert verdict.same_index_p is None
    assert same_index_sentence(verdict).startswith("Not asked")


def test_one_model_claims_nothing(tmp_path: Path) -> None:
    dataset = write_synthetic_dataset(tmp_path / "dataset", [SyntheticModel("a", seed=1)])
    with open_session(dataset, FEW) as session:
        report = read_report(session)
    assert report.verdicts == ()
    assert "gives structural tokens" in wording.headline(report)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "No head of b matches a L1H2 beyond chance (p = 0.40)"),
        ({"p_value": 0.002}, "a L1H2 has a counterpart beyond chance in b L0H1 (p = 0.002)"),
        (
            {"p_value": None, "n_tested": 0},
            "Whether b has a counterpart of a L1H2 is not tested: the two models cut the prompts "
            "into different tokens and no token is structural, or all their heads are alike",
        ),
    ],
    ids=["none", "found", "untested"],
)
def test_the_sentence_follows_from_the_p_value(changes: dict[str, object], sentence: str) -> None:
    assert match_sentence(HEAD, replace(NOTHING, **changes)) == sentence  # type: ignore[arg-type]


def test_counts_are_said_in_words() -> None:
    assert count_sentence(NOTHING).startswith("None of 12 heads of a has a counterpart in b")
    one, two = (count_sentence(replace(NOTHING, n_beyond=n)) for n in (1, 2))
    assert one.startswith("1 of 12 heads of a has a counterpart")
    assert two.startswith("2 of 12 heads of a have a counterpart")
    assert "is not tested" in count_sentence(replace(NOTHING, n_tested=0))
