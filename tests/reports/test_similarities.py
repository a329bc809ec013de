"""Reports and figures by another similarity, and where it is undefined: one measure, no error."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from markupsafe import escape

from ingest.kernel.errors import InputError
from reports.data import wording
from reports.data.queries import read_report
from reports.figures.figures import FIGURES, Choice
from reports.site.pages import write_report
from sql.parameters import CONTENT, SIMILARITIES, TESTED_SIMILARITIES, Parameters
from sql.session import Session, open_session
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

MODELS = [
    SyntheticModel("a", seed=1),
    SyntheticModel("b", seed=1, places=(3, 1, 2, 0, 5, 4), noise=0.1),
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_synthetic_dataset(tmp_path_factory.mktemp("similarities") / "dataset", MODELS)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same models on text in which no token is structural."""
    path = tmp_path_factory.mktemp("similarities") / "dataset"
    return write_synthetic_dataset(path, MODELS, has_structural=False)


def asked(similarity: str) -> Parameters:
    return Parameters(similarity=similarity, n_draws=999)


def value(session: Session, similarity: str, head_b: str) -> float:
    """How alike the reference head is to a head of b."""
    (row,) = session.rows(
        "select value from similarities inner join reference_head on model = model_a "
        "and layer = layer_a and head = head_a where similarity = $similarity "
        "and 'L' || layer_b || 'H' || head_b = $head_b",
        {"similarity": similarity, "head_b": head_b},
    )
    return float(row["value"])


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_all_numbers_of_a_report_are_of_the_similarity_asked_for(
    similarity: str, dataset: Path
) -> None:
    with open_session(dataset, asked(similarity)) as session:
        report = read_report(session)
        (pair,) = report.pairs
        claim = pair.claim
        expected = {
            name: value(session, similarity, name)
            for name in (head.index for head in pair.matrix.heads_b)
        }
        (statistics,) = session.rows(
            "select * from match_statistics inner join reference_head on model = model_a "
            "and layer = layer_a and head = head_a"
        )
        (published,) = session.rows("select * from swap_claims")
    assert report.similarity == claim.similarity == pair.matrix.similarity == similarity
    row = pair.matrix.cosines[pair.matrix.heads_a.index(report.reference.head)]
    assert row == pytest.approx(tuple(expected.values()), abs=1e-8)
    assert claim.match.cosine == max(cosine for cosine in row if cosine is not None)
    assert claim.match.best.index == f"L{statistics['layer_b']}H{statistics['head_b']}"
    assert claim.same_index_reference == pytest.approx(
        expected[report.reference.head.index], abs=1e-8
    )
    assert claim.interval == pytest.approx((statistics["low"], statistics["high"]), abs=1e-8)
    assert claim.chance.mean == pytest.approx(statistics["null_mean"], abs=1e-8)
    assert claim.match.p_value == pytest.approx(statistics["p_family"], abs=1e-8)
    assert (claim.match.p_value is None) == (similarity not in TESTED_SIMILARITIES)
    cosines = pair.matrix.defined
    assert claim.spread.n_as_alike == sum(cosine >= claim.match.cosine for cosine in cosines)
    assert min(cosines) <= claim.spread.median <= claim.spread.percentile_95 <= max(cosines)
    # The criterion is the published one, whatever was asked for.
    assert claim.criterion.cosine == pytest.approx(published["cosine"], abs=1e-8)
    assert claim.criterion.holds == published["holds"]


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_pages_name_the_similarity_and_show_a_dash_without_a_p_value(
    similarity: str, dataset: Path, tmp_path: Path
) -> None:
    with open_session(dataset, asked(similarity)) as session:
        write_report(session, tmp_path)
    finding = (tmp_path / "index.html").read_text(encoding="utf-8")
    facts = finding.partition('class="match-facts"')[2].partition("</dl>")[0]
    body = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", facts))
    assert ("this similarity is not tested" in body) == (similarity not in TESTED_SIMILARITIES)
    assert ("p = 0." in body or "p = 1." in body) == (similarity in TESTED_SIMILARITIES)
    assert "The published criterion: the closest profile is at another index" in finding
    for page in (finding, (tmp_path / "swaps.html").read_text(encoding="utf-8")):
        assert str(escape(wording.compared_by(similarity))) in page
        assert f"cosine of two {wording.COMPARED[similarity]}" in page
    data = (tmp_path / "data.html").read_text(encoding="utf-8")
    assert f"--similarity {similarity}" in data.replace("\n", " ")


@pytest.mark.parametrize("name", ["profiles", "chance", "distribution", "matrix", "swaps"])
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_a_figure_is_of_the_similarity_asked_for(similarity: str, name: str, dataset: Path) -> None:
    with open_session(dataset, asked(similarity)) as session:
        drawn = FIGURES[name](session, Choice())
        known = {
            round(row["value"], 9)
            for row in session.rows(
                "select value from similarities where similarity = $similarity",
                {"similarity": similarity},
            )
        }
    assert drawn.rows
    if name != "profiles":
        assert {row["cosine"] for row in drawn.rows} <= known
    if name != "profiles" or similarity != "profile":
        assert wording.COMPARED[similarity] in drawn.chart.to_json()


@pytest.mark.parametrize("similarity", [name for name in SIMILARITIES if name != CONTENT])
def test_pages_without_structural_tokens_claim_nothing(
    similarity: str, plain: Path, tmp_path: Path
) -> None:
    with open_session(plain, asked(similarity)) as session:
        report = read_report(session)
        page = write_report(session, tmp_path).read_text(encoding="utf-8")
        with pytest.raises(InputError, match="undefined"):
            FIGURES["matrix"](session, Choice())
        assert len(FIGURES["profiles"](session, Choice()).rows) == report.bins
    assert report.pairs == ()
    (criterion,) = report.undefined
    assert (criterion.best, criterion.cosine, criterion.holds) == (None, None, False)
    # Content needs no structural token: what the test says is said, whatever the profiles are.
    (verdict,) = report.verdicts
    assert verdict.n_tested == verdict.n_heads
    assert wording.headline(report).startswith("None of 6 heads of a has a counterpart in b")
    assert "Profiles are undefined here" in page
    assert ">0.000<" not in page
    assert "--structural" in page
    assert not (tmp_path / "swaps.html").exists()


def test_a_head_without_a_profile_stands_in_the_table_with_dashes(tmp_path: Path) -> None:
    models = [
        SyntheticModel("a", seed=1, blind=(1,), source="run@step0"),
        SyntheticModel("b", seed=2, blind=(4,), source="run@step1"),
    ]
    dataset = write_synthetic_dataset(tmp_path / "dataset", models)
    with open_session(dataset, asked("profile")) as session:
        report = read_report(session)
        write_report(session, tmp_path / "pages")
        for name in FIGURES:
            FIGURES[name](session, Choice())
    (pair,) = report.pairs
    assert [head.index for head in pair.unmatched] == ["L0H1"]
    assert len(pair.ranking) == 5
    assert len(pair.matrix.defined) == pair.claim.spread.n_pairs == 25
    page = (tmp_path / "pages" / "swaps.html").read_text(encoding="utf-8")
    assert "Heads without a match (–): 1 of 6" in page
