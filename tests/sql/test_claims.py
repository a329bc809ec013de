"""Claims: what they say of a dataset whose heads were put elsewhere on purpose."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sql.parameters import Parameters, parse_claim
from sql.session import open_session
from tests.support.running import Run
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

# The head that stands at b's flat index n is a's head PLACES[n]; 3 heads a layer.
PLACES = (4, 0, 1, 5, 3, 2)
# a's L1H1 (flat 4) stands at b's L0H0.
TRUE = "a:L1H1 ~ b:L0H0"
FALSE = "a:L1H1 ~ b:L1H1"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = [SyntheticModel("a", seed=3), SyntheticModel("b", seed=3, places=PLACES)]
    return write_synthetic_dataset(tmp_path_factory.mktemp("claims") / "dataset", models)


@pytest.mark.parametrize("test", ["above same index", "best match", "at least 0.999"])
def test_a_true_claim_holds_and_a_false_one_does_not(test: str, dataset: Path, run: Run) -> None:
    few = "--draws=999"
    outcome = run("claims", dataset, few, "--claim", f"{TRUE} {test}")
    assert outcome.code == 0, outcome.err
    assert f"{TRUE} {test}: holds" in outcome.out
    outcome = run("claims", dataset, few, *(f"--claim={pair} {test}" for pair in (TRUE, FALSE)))
    assert outcome.code == 1
    assert f"{FALSE} {test}: DOES NOT HOLD" in outcome.out
    assert "1 of 2 claims do not hold" in outcome.err


def test_claims_as_json_say_what_was_not_looked_at(dataset: Path, run: Run) -> None:
    words = ["--draws=999", "--claim", f"{TRUE} best match"]
    found = json.loads(run("claims", dataset, *words, "--json").out)
    unseen = found["not_looked_at"]
    assert unseen == ["whether the rows are sound: `headswap verify` reads them"]
    lines = run("claims", dataset, *words).out.splitlines()
    assert lines[1:] == [f"not looked at: {what}" for what in unseen]
    (claim,) = found["claims"]
    assert claim["holds"]
    assert claim["value"] == pytest.approx(1, abs=1e-9)


def test_beyond_chance_asks_the_test_of_the_match(dataset: Path) -> None:
    claim = parse_claim(f"{TRUE} beyond chance")
    for level in (0.0, 0.05, 1.0):
        parameters = Parameters(claims=(claim,), n_draws=999, significance_level=level)
        with open_session(dataset, parameters) as session:
            (found,) = session.rows("select * from claims")
            (verdict,) = session.rows(
                "select * from verdicts where model_a = 'a' and layer_a = 1 and head_a = 1"
            )
            counts = session.rows("select n_beyond_chance from pair_summary")
        is_match = (verdict["layer_b"], verdict["head_b"]) == (0, 0)
        assert found["p_family"] == verdict["p_family"]
        assert found["holds"] == (is_match and verdict["p_family"] <= level)
        assert counts == [{"n_beyond_chance": 6 * (level == 1)}] * 2 or 0 < level < 1


def test_a_match_beyond_its_place_is_no_claim_about_chance(dataset: Path) -> None:
    """A head that is not the best match is not beyond chance, however alike."""
    claim = parse_claim(f"{FALSE} beyond chance")
    with open_session(dataset, Parameters(claims=(claim,), n_draws=999)) as session:
        (found,) = session.rows("select * from claims")
    assert not found["holds"]


def test_a_verdict_does_not_hang_on_the_similarity_asked_for(dataset: Path, run: Run) -> None:
    found = []
    for similarity in (None, "profile_centred"):
        parameters = Parameters(similarity=similarity, n_draws=999)
        with open_session(dataset, parameters) as session:
            found.append(session.rows("select * from verdicts order by all"))
    assert found[0] == found[1]
    with open_session(dataset, parameters) as session:
        (row,) = session.rows(
            "select count(*) as n, count(null_mean) as n_means, count(p_family) as n_p "
            "from match_statistics"
        )
    assert (row["n"], row["n_means"], row["n_p"]) == (12, 12, 0)


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ("a:L1H1 b:L0H0 best match", "is not a claim"),
        ("a:L1H1 ~ b:L0H0", "is not a claim"),
        ("a:L1H1 ~ b:L0H0 at least", "is not a claim"),
        ("a:L1H1 ~ b:L0H0 at least 7", "is not a claim"),
        ("a:L1H1 ~ b:L0H0 best match 0.5", "is not a claim"),
        ("a:L1H1 ~ a:L0H0 best match", "about one model"),
        ("a:L1H1 ~ c:L0H0 best match", "not compared"),
        ("a:L1H1 ~ b:L0H9 best match", "no head L0H9"),
        ("a:L7H1 ~ b:L0H0 best match", "no head L7H1"),
    ],
)
def test_unusable_claims_are_refused(claim: str, message: str, dataset: Path, run: Run) -> None:
    outcome = run("claims", dataset, "--claim", claim)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--similarity", "shape", "no similarity 'shape'"),
        ("--draws", "998", "998 draws are not possible"),
        ("--seed", "-1", "-1 is no seed"),
    ],
)
def test_unusable_numbers_are_refused(
    option: str, value: str, message: str, dataset: Path, run: Run
) -> None:
    outcome = run("sql", dataset, "select 1", f"{option}={value}")
    assert outcome.code == 2
    assert message in outcome.err
