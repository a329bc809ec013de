"""Content matches: the planted permutation found, and every number against plain numpy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sql.computed.matching.head_products import PromptWeights
from sql.session import Session, open_session
from tests.sql.computed.oracle import content_vectors, whitened_cosines
from tests.support.running import REFERENCE, Reference, Run
from tests.support.synthetic import SyntheticModel, write_synthetic_dataset

TASKS = [
    {"pair_id": 0, "variant": "standard", "task": "Make tea", "steps": ["Boil", "Pour"]},
    {"pair_id": 1, "variant": "standard", "task": "Go", "steps": ["Stand", "Walk", "Rest"]},
    {"pair_id": 2, "variant": "standard", "task": "Eat", "steps": ["Sit down"]},
]


@pytest.fixture
def short(tmp_path: Path, run: Run) -> Path:
    """The reference bundles on three short tasks, few enough cells for dense vectors."""
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(f"{json.dumps(task)}\n" for task in TASKS))
    models = [f"--model={name}={REFERENCE / name}" for name in ("standard", "adhd")]
    out = tmp_path / "dataset"
    assert run("ingest", *models, "--prompts", prompts, "--out", out).code == 0
    return out


def test_every_planted_head_is_found(reference_session: Session, reference: Reference) -> None:
    rows = reference_session.rows(
        "select * from match_tests inner join match_intervals "
        "using (model_a, layer_a, head_a, model_b) where model_a = 'standard'"
    )
    planted = {
        (layer, of_standard): of_adhd
        for layer, heads in enumerate(reference.head_permutation)
        for of_adhd, of_standard in enumerate(heads)
    }
    found = {(row["layer_a"], row["head_a"]): (row["layer_b"], row["head_b"]) for row in rows}
    assert found == {head: (head[0], other) for head, other in planted.items()}
    for row in rows:
        assert row["value"] > 0.9
        assert row["low"] - 1e-9 <= row["value"] <= row["high"] + 1e-9
        assert row["p_family"] >= row["p_value"] > 0
        assert row["false_discovery_rate"] >= row["p_value"]
    assert max(row["p_family"] for row in rows) <= 0.05


def _prompts(session: Session) -> list[PromptWeights]:
    """Rows as arrays, heads of both models stacked in the order of their numbers."""
    found = []
    roles = {"marker": 0, "task": 1, "step": 2}
    for (prompt,) in session.query("select prompt_id from prompts order by prompt_id").fetchall():
        cells = session.query(
            "select head_id, query, key, weight from attention "
            "inner join heads using (model, layer, head) "
            f"where prompt_id = {prompt} order by head_id, query, key"
        ).fetchnumpy()
        of_tokens = session.query(
            f"select role from tokens where prompt_id = {prompt} order by position"
        ).fetchall()
        role = np.array([roles[name] for (name,) in of_tokens])
        n_heads = int(cells["head_id"].max()) + 1
        query, key = (cells[name].reshape(n_heads, -1)[0] for name in ("query", "key"))
        weights = cells["weight"].reshape(n_heads, -1)
        found.append(PromptWeights(prompt, weights, query, key, role[query], role[key]))
    return found


def test_values_are_those_of_dense_vectors(short: Path) -> None:
    with open_session(short) as session:
        prompts = _prompts(session)
        heads = session.rows("select model, layer, head from heads order by head_id")
        rows = session.rows("select * from match_tests")
    vectors = content_vectors(prompts, [1] * len(prompts))
    members = {
        model: [number for number, head in enumerate(heads) if head["model"] == model]
        for model in ("standard", "adhd")
    }
    layers = np.array([head["layer"] for head in heads])
    assert len(rows) == 2 * 12
    for row in rows:
        own, other = members[row["model_a"]], members[row["model_b"]]
        cosines = whitened_cosines(vectors[own], vectors[other], layers[own], layers[other])
        place = row["layer_a"] * 4 + row["head_a"]
        best = int(cosines[place].argmax())
        assert (row["layer_b"], row["head_b"]) == divmod(best, 4)
        assert row["value"] == pytest.approx(cosines[place, best], abs=1e-9)


def test_the_same_index_is_tested_for_models_of_one_shape(
    reference_session: Session, reference: Reference
) -> None:
    rows = reference_session.rows(
        "select * from same_index_tests where model_a = 'standard' order by layer nulls last"
    )
    assert [row["layer"] for row in rows] == [0, 1, 2, None]
    assert [row["n_heads"] for row in rows] == [4, 4, 4, 12]
    assert all(0 < row["p_value"] <= row["p_family"] <= 1 for row in rows)
    planted = [
        sum(head == other for head, other in enumerate(heads))
        for heads in reference.head_permutation
    ]
    assert [row["n_same_index"] for row in rows] == [*planted, sum(planted)]


@pytest.mark.parametrize("n_units", [1, 3, 7, 23])
def test_blocks_keep_units_together_and_are_never_empty(n_units: int, tmp_path: Path) -> None:
    """Two prompts a pair, whose ids are those of other prompts; one prompt stands alone."""
    prompts = [("Go", ["Walk"])] * (2 * n_units + 1)
    pairs = [*(str(unit + 1) for unit in range(n_units) for _ in (0, 1)), None]
    models = [SyntheticModel("a", n_layers=1, n_heads=1)]
    out = write_synthetic_dataset(tmp_path / "dataset", models, prompts, pair_ids=pairs)
    with open_session(out) as session:
        rows = session.rows("select prompt_id, block from blocks order by prompt_id")
    blocks = [row["block"] for row in rows]
    assert len(blocks) == len(prompts)
    assert blocks[0:-1:2] == blocks[1:-1:2]
    assert set(blocks) == set(range(min(20, n_units + 1)))


def test_the_numbers_do_not_hang_on_other_draws(short: Path) -> None:
    with open_session(short) as once:
        first = once.rows("select * from match_tests order by all")
    for path in (short / "views").glob("*.parquet"):
        path.unlink()
    with open_session(short) as again:
        assert again.rows("select * from match_tests order by all") == first


def test_without_structural_tokens_content_is_defined(tmp_path: Path, run: Run) -> None:
    """As with GPT-2's tokenizer, which adds no special token: profiles are undefined."""
    models = [f"--model={name}={REFERENCE / name}" for name in ("standard", "adhd")]
    out = tmp_path / "dataset"
    text = tmp_path / "prompts.txt"
    text.write_text(
        "Boil the water and pour the tea\nWalk to the door\nSit down and rest a while\n"
    )
    assert run("ingest", *models, "--prompts", text, "--out", out).code == 0
    with open_session(out) as session:
        (tokens,) = session.rows("select count(*) filter (where is_structural) as n from tokens")
        assert tokens["n"] == 0
        (matched,) = session.rows(
            "select count(*) as n, count(value) as n_defined from match_tests"
        )
        assert matched == {"n": 24, "n_defined": 24}
        (profiled,) = session.rows(
            "select count(value) as n from similarities where similarity <> 'content'"
        )
        assert profiled["n"] == 0
