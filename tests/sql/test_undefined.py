"""What is undefined is null: where no token is structural, and for a head that sees none."""

from __future__ import annotations

from pathlib import Path

import pytest

from sql.parameters import CONTENT, SIMILARITIES, Parameters, parse_claim
from sql.session import open_session
from tests.support.running import Run
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

CLAIMS = tuple(
    f"a:L0H0 ~ b:L0H0 {test}"
    for test in ("above same index", "best match", "beyond chance", "at least 0")
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models on text whose tokenizer adds no token of layout."""
    models = [SyntheticModel("a", seed=1), SyntheticModel("b", seed=2)]
    path = tmp_path_factory.mktemp("undefined") / "dataset"
    return write_synthetic_dataset(path, models, has_structural=False)


@pytest.fixture(scope="module")
def blind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The head L0H1 of `a` puts no weight on a marker."""
    models = [SyntheticModel("a", seed=1, blind=(1,)), SyntheticModel("b", seed=2)]
    return write_synthetic_dataset(tmp_path_factory.mktemp("undefined") / "dataset", models)


@pytest.mark.parametrize("similarity", [name for name in SIMILARITIES if name != CONTENT])
def test_without_structural_tokens_every_number_of_profiles_is_null(
    similarity: str, plain: Path
) -> None:
    claims = tuple(map(parse_claim, CLAIMS))
    parameters = Parameters(similarity=similarity, n_draws=999, claims=claims)
    with open_session(plain, parameters) as session:
        assert session.rows(
            "select count(*) as n, count(value) as n_values from similarities "
            "where similarity <> 'content'"
        ) == [{"n": 360, "n_values": 0}]
        for view in ("matches", "match_statistics"):
            rows = session.rows(f"select * exclude (model_a, layer_a, head_a, model_b) from {view}")
            assert len(rows) == 12  # every head of both models
            told = {"similarity"}
            assert {value for row in rows for name, value in row.items() if name not in told} == {
                None
            }, view
        for row in session.rows("select * from pair_summary"):
            assert row["n_heads"] == 6
            assert row["n_matched"] == row["n_moved"] == row["n_mutual"] == 0
            assert row["mean_value"] is row["mean_null"] is None
            # Content needs no structural token: what it says goes on.
            assert (row["n_tested"], row["n_beyond_chance"]) == (6, 0)
        assert session.rows(
            "select distinct rank, is_mutual from similarity_ranking where similarity <> 'content'"
        ) == [{"rank": None, "is_mutual": None}]
        for view in ("split_halves", "head_reliability", "match_intervals"):
            assert session.rows(f"select * from {view}") == []
        assert session.rows("select distinct similarity from migration_map") == [
            {"similarity": "content"}
        ]
        (row,) = session.rows("select cosine, layer_b, is_moved, holds from swap_claims")
        assert row == {"cosine": None, "layer_b": None, "is_moved": None, "holds": False}
        assert [row["holds"] for row in session.rows("select holds from claims")] == [False] * len(
            claims
        )


def test_claims_say_undefined(plain: Path, run: Run) -> None:
    words = [f"--claim={claim}" for claim in CLAIMS]
    outcome = run("claims", plain, "--draws=999", *words)
    assert outcome.code == 1
    assert outcome.out.count("DOES NOT HOLD: profile cosine – (undefined)") == len(CLAIMS) - 1
    assert "beyond chance: DOES NOT HOLD: content cosine" in outcome.out


def test_a_head_without_a_profile_ranks_nowhere(blind: Path) -> None:
    """The others' numbers go on, and it is the match of none."""
    with open_session(blind, Parameters(similarity="profile", n_draws=999)) as session:
        undefined = session.rows(
            "select model_a, layer_a, head_a, null_mean, ceiling from match_statistics "
            "where value is null"
        )
        defined = session.rows("select * from match_statistics where value is not null")
        ranks = session.rows(
            "select rank from similarity_ranking where similarity = 'profile' "
            "and model_a = 'b' and layer_a = 0 and head_a = 0 order by rank nulls last"
        )
        mapped = session.rows("select * from migration_map where similarity = 'profile'")
    head = {"model_a": "a", "layer_a": 0, "head_a": 1}
    assert undefined == [head | {"null_mean": None, "ceiling": None}]
    assert len(defined) == 11
    assert all(row["null_mean"] is not None and row["ceiling"] is not None for row in defined)
    assert [row["rank"] for row in ranks] == [1, 2, 3, 4, 5, None]
    places = {
        (row[f"layer_{side}"], row[f"head_{side}"])
        for row in mapped
        for side in "ab"
        if row[f"model_{side}"] == "a"
    }
    assert places == {(0, 0), (0, 2), (1, 0), (1, 1), (1, 2)}
