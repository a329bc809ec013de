"""Similarities, chance and uncertainty against plain numpy and SciPy, on two real datasets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from sql.parameters import SIMILARITIES, TESTED_SIMILARITIES, Parameters
from sql.session import Session, open_session
from tests.sql.computed.oracle import whitened_cosines
from tests.support.oracles import statistics as oracle
from tests.support.running import Reference, stored_patterns, token_ids

TOLERANCE = 1e-9
PROFILES = tuple(name for name in SIMILARITIES if name not in TESTED_SIMILARITIES)
FEW = Parameters(n_splits=4, n_draws=999)


@dataclass(frozen=True)
class Data:
    """A dataset with its patterns in memory: `[head, query, key]` a prompt, by model."""

    path: Path
    session: Session
    prompt_ids: list[int]
    patterns: dict[str, list[NDArray[np.float64]]]
    structural: list[NDArray[np.bool_]]
    n_heads: int  # of a layer

    def matrix(self, rows: list[dict[str, Any]], column: str = "value") -> NDArray[np.float64]:
        """`[head of a, head of b]` from rows with both heads."""
        size = len(next(iter(self.patterns.values()))[0])
        values = np.full((size, size), np.nan)
        for row in rows:
            values[self.flat(row, "a"), self.flat(row, "b")] = row[column]
        return values

    def flat(self, row: dict[str, Any], side: str) -> int:
        return int(row[f"layer_{side}"] * self.n_heads + row[f"head_{side}"])


@pytest.fixture(scope="module", params=["reference_dataset", "demo_dataset"])
def data(request: pytest.FixtureRequest) -> Iterator[Data]:
    path: Path = request.getfixturevalue(request.param)
    with open_session(path, replace(FEW, pairs=(("standard", "adhd"),))) as session:
        ids = [row["prompt_id"] for row in session.rows("select * from prompts order by prompt_id")]
        patterns = {}
        for model in ("standard", "adhd"):
            found = [np.nan_to_num(stored_patterns(session, model, prompt)) for prompt in ids]
            patterns[model] = [pattern.reshape(-1, *pattern.shape[2:]) for pattern in found]
        structural = [_marks(session, prompt) for prompt in ids]
        n_heads = session.rows("select max(n_heads) as n from models")[0]["n"]
        yield Data(path, session, ids, patterns, structural, n_heads)


def _marks(session: Session, prompt_id: int) -> NDArray[np.bool_]:
    rows = session.rows(
        "select is_structural from positions where model = 'standard' and prompt_id = $id "
        "order by query",
        {"id": prompt_id},
    )
    return np.array([row["is_structural"] for row in rows])


def _of_pair(data: Data, view: str) -> list[dict[str, Any]]:
    return data.session.rows(
        f"select * from {view} where model_a = 'standard' and model_b = 'adhd' order by all"
    )


def _dimensions(layers: NDArray[np.int64]) -> int:
    """Those that are left of both models' profiles of 20 bins without their layers' means."""
    return min(20, 2 * (len(layers) - len(set(layers.tolist()))))


def test_every_similarity_equals_the_oracle(data: Data) -> None:
    """Content has its own oracle, over cells: `tests/sql/test_content.py`."""
    expected = oracle.similarities(
        data.patterns["standard"], data.patterns["adhd"], data.structural
    )
    layers = np.arange(len(data.patterns["standard"][0])) // data.n_heads
    once = np.ones(len(data.prompt_ids))
    a, b = (
        oracle.profile(*oracle.profile_sums(data.patterns[m], data.structural, False), once, False)
        for m in ("standard", "adhd")
    )
    expected["profile_whitened"] = whitened_cosines(a, b, layers, layers, _dimensions(layers))
    rows = _of_pair(data, "similarities")
    assert {row["similarity"] for row in rows} == {*expected, "content"}
    for similarity, values in expected.items():
        found = data.matrix([row for row in rows if row["similarity"] == similarity])
        np.testing.assert_allclose(found, values, rtol=0, atol=TOLERANCE, err_msg=similarity)


@pytest.mark.parametrize(("view", "n_kinds"), [("similarities", 6)])
def test_similarities_are_the_same_in_both_orders(data: Data, view: str, n_kinds: int) -> None:
    (row,) = data.session.rows(
        f"""
        select count(*) as n, max(abs(there.value - back.value)) as largest
        from {view} as there
        inner join {view} as back
            on back.similarity = there.similarity
            and back.model_a = there.model_b and back.layer_a = there.layer_b
            and back.head_a = there.head_b and back.model_b = there.model_a
            and back.layer_b = there.layer_a and back.head_b = there.head_a
        """
    )
    assert row["n"] == len(data.patterns["standard"][0]) ** 2 * n_kinds * 2
    assert row["largest"] < TOLERANCE


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_matches_are_the_first_of_the_ranking(data: Data, similarity: str) -> None:
    parameters = replace(data.session.parameters, similarity=similarity)
    columns = "model_a, layer_a, head_a, model_b, layer_b, head_b, value, same_index_value"
    with open_session(data.path, parameters) as session:
        matches = session.rows(f"select {columns}, is_moved, is_mutual from matches order by all")
        ranked = session.rows(
            f"select {columns}, not is_same_index as is_moved, is_mutual from similarity_ranking "
            f"where rank = 1 and similarity = '{similarity}' order by all"
        )
    assert len(matches) == 2 * len(data.patterns["standard"][0])
    assert matches == ranked


def _blocks(data: Data) -> NDArray[np.int64]:
    rows = data.session.rows("select prompt_id, block from blocks")
    block_of = {row["prompt_id"]: row["block"] for row in rows}
    return np.array([block_of[prompt] for prompt in data.prompt_ids])


@pytest.mark.parametrize("similarity", ["profile_whitened", *PROFILES])
def test_intervals_equal_a_jackknife_in_numpy(data: Data, similarity: str) -> None:
    no_sink, centred = "no_sink" in similarity, similarity.endswith("centred")
    sums = {
        model: oracle.profile_sums(patterns, data.structural, no_sink)
        for model, patterns in data.patterns.items()
    }
    layers = np.arange(len(data.patterns["standard"][0])) // data.n_heads

    def cosines(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        a, b = (oracle.profile(*sums[model], weights, centred) for model in ("standard", "adhd"))
        is_whitened = similarity == "profile_whitened"
        if is_whitened:
            return whitened_cosines(a, b, layers, layers, _dimensions(layers))
        return oracle.cosines(a, b)

    blocks = _blocks(data)
    left_out = np.array([cosines((blocks != block).astype(float)) for block in set(blocks)])
    n_blocks = len(left_out)
    t = stats.t.ppf(0.975, n_blocks - 1)

    def reach(values: NDArray[np.float64]) -> float:
        return float(t * np.sqrt(np.var(values) * (n_blocks - 1)))

    with open_session(
        data.path, replace(data.session.parameters, similarity=similarity)
    ) as session:
        rows = session.rows(
            "select * from match_intervals inner join matches "
            "using (model_a, layer_a, head_a, model_b) where model_a = 'standard'"
        )
    assert len(rows) == len(layers)
    for row in rows:
        a, b = data.flat(row, "a"), data.flat(row, "b")
        assert row["n_blocks"] == n_blocks
        limit = 1 - 1e-12
        off = reach(np.arctanh(np.clip(left_out[:, a, b], -limit, limit)))
        centre = np.arctanh(np.clip(row["value"], -limit, limit))
        assert row["low"] == pytest.approx(np.tanh(centre - off), abs=TOLERANCE)
        assert row["high"] == pytest.approx(np.tanh(centre + off), abs=TOLERANCE)
        lead = row["value"] - row["same_index_value"]
        off = reach(left_out[:, a, b] - left_out[:, a, a])
        assert row["lead"] == pytest.approx(lead, abs=TOLERANCE)
        assert row["lead_low"] == pytest.approx(lead - off, abs=TOLERANCE)
        assert row["lead_high"] == pytest.approx(lead + off, abs=TOLERANCE)


def test_split_halves_equal_numpy(data: Data) -> None:
    sums = {
        model: oracle.profile_sums(patterns, data.structural, no_sink=False)
        for model, patterns in data.patterns.items()
    }
    by_block = np.zeros((FEW.n_splits, max(_blocks(data)) + 1))
    for row in data.session.rows("select * from splits"):
        by_block[row["split"], row["block"]] = row["half"]
    halves = by_block[:, _blocks(data)]  # [split, prompt]
    chosen, held_out, agrees, own = [], [], [], []
    for half in halves:
        profiles = {
            (model, side): oracle.profile(*sums[model], (half == side).astype(float), False)
            for model in sums
            for side in (0, 1)
        }
        cosines = [oracle.cosines(profiles["standard", s], profiles["adhd", s]) for s in (0, 1)]
        own.append(np.diag(oracle.cosines(profiles["standard", 0], profiles["standard", 1])))
        for side in (0, 1):
            best = cosines[side].round(9).argmax(axis=1)
            index = np.arange(len(best))
            chosen.append(cosines[side][index, best])
            held_out.append(cosines[1 - side][index, best])
            agrees.append(best == cosines[1 - side].round(9).argmax(axis=1))
    n_blocks = by_block.shape[1]
    assert set(by_block.sum(axis=1)) == {n_blocks - n_blocks // 2}
    with open_session(data.path, replace(data.session.parameters, similarity="profile")) as session:
        rows = session.rows(
            "select * from split_halves where model_a = 'standard' and model_b = 'adhd'"
        )
        reliability = session.rows("select * from head_reliability where model = 'standard'")
    assert len(rows) == len(own[0])
    for row in rows:
        a = data.flat(row, "a")
        assert row["n_splits"] == FEW.n_splits
        for column, values in (("chosen", chosen), ("held_out", held_out), ("agreement", agrees)):
            expected = np.mean([value[a] for value in values])
            assert row[column] == pytest.approx(expected, abs=TOLERANCE)
    assert len(reliability) == len(rows)
    for row in reliability:
        expected = np.mean([value[row["layer"] * data.n_heads + row["head"]] for value in own])
        assert row["value"] == pytest.approx(expected, abs=TOLERANCE)


def test_verdicts_are_those_of_the_test(data: Data) -> None:
    rows = data.session.rows(
        "select verdicts.*, match_tests.p_family as p, match_tests.null_mean, match_tests.n_draws "
        "from verdicts inner join match_tests using (similarity, model_a, layer_a, head_a, model_b)"
    )
    assert len(rows) == 2 * len(data.patterns["standard"][0])
    for row in rows:
        assert row["similarity"] == "content"
        assert row["p_family"] == row["p"]
        assert row["is_beyond_chance"] == (row["p"] <= 0.05)
        assert row["n_draws"] == FEW.n_draws
    (summary,) = data.session.rows("select * from pair_summary where model_a = 'standard'")
    found = sum(row["is_beyond_chance"] for row in rows if row["model_a"] == "standard")
    assert summary["n_beyond_chance"] == found
    assert summary["n_tested"] == len(rows) / 2


def test_only_tested_similarities_have_p_values(data: Data) -> None:
    for similarity in SIMILARITIES:
        parameters = replace(data.session.parameters, similarity=similarity)
        with open_session(data.path, parameters) as session:
            (row,) = session.rows(
                "select count(*) as n, count(null_mean) as n_means, count(p_family) as n_p "
                "from match_tests where similarity = $similarity",
                {"similarity": similarity},
            )
        assert row["n"] == row["n_means"] == 2 * len(data.patterns["standard"][0])
        assert row["n_p"] == (row["n"] if similarity in TESTED_SIMILARITIES else 0)


def test_chance_depends_on_the_seed_alone(data: Data) -> None:
    def means(seed: int) -> NDArray[np.float64]:
        with open_session(data.path, replace(data.session.parameters, seed=seed)) as session:
            columns = session.query(
                "select null_mean from match_tests order by model_a, layer_a, head_a"
            ).fetchnumpy()
        return np.asarray(columns["null_mean"])

    first, again, other = means(0), means(0), means(1)
    np.testing.assert_allclose(first, again, rtol=0, atol=TOLERANCE)
    assert (abs(first - other) > TOLERANCE).mean() > 0.99


@pytest.mark.parametrize(
    ("source", "n_kinds"),
    [
        ("similarity_ranking where model_a = 'adhd' and model_b = 'standard' and rank = 1", 6),
        ("migration_map where model_a = 'adhd' and model_b = 'standard'", 12),  # two scopes
    ],
    ids=["ranking", "map"],
)
def test_planted_permutation_is_found_by_every_measure(
    source: str, n_kinds: int, reference_session: Session, reference: Reference
) -> None:
    planted = {
        (layer, head): (layer, place)
        for layer, places in enumerate(reference.head_permutation)
        for head, place in enumerate(places)
    }
    rows = reference_session.rows(f"select * from {source}")
    assert len(rows) == 12 * n_kinds
    for row in rows:
        found = (row["layer_b"], row["head_b"])
        assert found == planted[row["layer_a"], row["head_a"]], row


def test_matches_of_a_permuted_copy_are_mutual(reference_session: Session) -> None:
    rows = reference_session.rows("select * from matches where model_a = 'adhd'")
    assert [row["is_mutual"] for row in rows] == [True] * 12


def test_migration_map_is_the_best_of_all_assignments(data: Data) -> None:
    """Within the first layer every assignment can be tried: 24 of 4 heads, 40,320 of 8."""
    rows = [row for row in _of_pair(data, "migration_map") if row["scope"] == "layer"]
    similarities = _of_pair(data, "similarities")
    n = data.n_heads
    orders = np.array(list(itertools.permutations(range(n))))
    for kind in {row["similarity"] for row in rows}:
        values = data.matrix([row for row in similarities if row["similarity"] == kind])[:n, :n]
        best = values[np.arange(n), orders].sum(axis=1).max()
        chosen = [row for row in rows if row["similarity"] == kind and row["layer_a"] == 0]
        assert {row["head_b"] for row in chosen} == set(range(n))
        assert sum(row["value"] for row in chosen) == pytest.approx(best, abs=1e-8)


def test_scores_equal_loops(data: Data) -> None:
    tokens = [
        data.session.rows(
            "select * from tokens where prompt_id = $id order by position", {"id": prompt}
        )
        for prompt in data.prompt_ids
    ]
    expected = oracle.head_scores(
        data.patterns["adhd"],
        [token_ids(data.session, "adhd", prompt) for prompt in data.prompt_ids],
        data.structural,
        [[row["role"] for row in rows] for rows in tokens],
        [[row["step_index"] for row in rows] for rows in tokens],
    )
    rows = data.session.rows("select * from head_scores where model = 'adhd' and n_eligible > 0")
    assert len(rows) == len(expected) * len(data.patterns["adhd"][0])
    for row in rows:
        total, number = expected[row["score"]]
        assert row["n_eligible"] == number
        mean = total[row["layer"] * data.n_heads + row["head"]] / number
        assert row["value"] == pytest.approx(mean, abs=TOLERANCE), row["score"]


def test_scores_agree_with_the_head_detector_of_transformer_lens(data: Data) -> None:
    """Its score divides by all queries, ours by the eligible: before division they are the same."""
    import torch
    from transformer_lens import head_detector

    patterns = {
        "previous_token": head_detector.get_previous_token_head_detection_pattern,
        "duplicate_token": head_detector.get_duplicate_token_head_detection_pattern,
    }
    for score, detect in patterns.items():
        rows = data.session.rows(
            "select * from prompt_scores "
            "where model = 'standard' and score = $score and prompt_id = $prompt",
            {"score": score, "prompt": data.prompt_ids[0]},
        )
        ids = torch.tensor([token_ids(data.session, "standard", data.prompt_ids[0])])
        assert len(rows) == len(data.patterns["standard"][0])
        for row in rows:
            head = row["layer"] * data.n_heads + row["head"]
            pattern = torch.tensor(data.patterns["standard"][0][head])
            theirs = head_detector.compute_head_attention_similarity_score(
                pattern,
                detection_pattern=detect(ids),
                exclude_bos=False,
                exclude_current_token=False,
                error_measure="mul",
            )
            assert row["total"] / len(pattern) == pytest.approx(float(theirs), abs=1e-6)
