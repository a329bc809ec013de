"""The rankings and matches of ablations against numpy and scipy on the stored rows."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch

import headswap
from sql.session import Session, open_session
from tests.support.models.loading import loaded
from tests.support.running import REFERENCE, Reference

Head = tuple[str, int, int]


def by_prompt(session: Session, column: str) -> dict[Head, list[float]]:
    """The mean of a column over the places of each prompt that have it, prompts in order."""
    values: dict[tuple[Head, int], list[float]] = defaultdict(list)
    for row in session.rows("select * from ablation_effects order by prompt_id, position"):
        if row[column] is not None:
            head = (row["model"], row["layer"], row["head"])
            values[head, row["prompt_id"]].append(row[column])
    found: dict[Head, list[float]] = defaultdict(list)
    for (head, _), of_prompt in values.items():
        found[head].append(float(np.mean(of_prompt)))
    return found


@pytest.mark.parametrize(
    ("column", "names"),
    [
        ("delta_loss_nats", ("mean_delta_loss_nats", "low", "high")),
        ("kl_nats", ("mean_kl_nats", "kl_low", "kl_high")),
    ],
)
def test_intervals_are_those_of_a_mean_over_prompts(
    column: str, names: tuple[str, ...], reference_session: Session
) -> None:
    expected = by_prompt(reference_session, column)
    rows = reference_session.rows("select * from ablation_ranking")
    assert len(rows) == len(expected) == 24
    for row in rows:
        values = expected[row["model"], row["layer"], row["head"]]
        low, high = scipy.stats.t.interval(
            0.95, len(values) - 1, np.mean(values), scipy.stats.sem(values)
        )
        assert row["n_prompts"] == 12
        found = [row[name] for name in names]
        assert found == pytest.approx([np.mean(values), low, high], abs=1e-9)


@pytest.mark.parametrize("name", ["standard", "adhd"])
def test_losses_are_those_of_a_plain_forward(
    name: str, reference_session: Session, reference: Reference
) -> None:
    model = loaded(str(REFERENCE / name))
    losses: list[float] = []
    for tokens in reference.tokens:
        ids = torch.from_numpy(tokens.astype(np.int64)).flatten()
        with torch.inference_mode():
            logits = model.bridge.original_model(input_ids=ids[None]).logits[0].double()
        losses += torch.nn.functional.cross_entropy(logits[:-1], ids[1:], reduction="none").tolist()
    (row,) = reference_session.rows(
        "select * from model_losses where model = $name", {"name": name}
    )
    assert (row["n_prompts"], row["n_positions"]) == (12, len(losses))
    assert row["loss_nats"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert row["uniform_nats"] == pytest.approx(np.log(model.d_vocab), rel=1e-12)


def test_ranks_fall_with_the_mean_loss(reference_session: Session) -> None:
    rows = reference_session.rows("select * from ablation_ranking order by model, rank")
    for model in ("adhd", "standard"):
        mine = [row for row in rows if row["model"] == model]
        assert [row["rank"] for row in mine] == list(range(1, 13))
        assert (np.diff([row["mean_delta_loss_nats"] for row in mine]) <= 1e-9).all()


def test_correlations_are_those_of_numpy(reference_session: Session) -> None:
    effects = by_prompt(reference_session, "delta_loss_nats")
    rows = reference_session.rows("select * from functional_match")
    assert len(rows) == 24
    for row in rows:
        own = effects[row["model_a"], row["layer_a"], row["head_a"]]
        correlations = {
            head[1:]: float(np.corrcoef(own, values)[0, 1])
            for head, values in effects.items()
            if head[0] == row["model_b"]
        }
        best = max(correlations, key=lambda head: correlations[head])
        assert (row["best_layer_b"], row["best_head_b"]) == best
        assert row["best_correlation"] == pytest.approx(correlations[best], abs=1e-9)
        match = (row["layer_b"], row["head_b"])
        assert row["correlation"] == pytest.approx(correlations[match], abs=1e-9)


def test_heads_that_were_not_ablated_match_nothing(tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    models = [f"--model={name}={REFERENCE / name}" for name in ("standard", "adhd")]
    assert headswap.main(["ingest", *models, "--out", str(dataset)]) == 0
    other = Path(shutil.copytree(dataset, tmp_path / "other"))
    assert headswap.main(["ablate", str(dataset), "--model=adhd"]) == 0
    with open_session(dataset) as session:
        assert session.rows("select * from functional_match") == []
        assert len(session.rows("select * from ablation_ranking")) == 12
    assert headswap.main(["ablate", str(other), "--head=L0H0", "--head=L1H1"]) == 0
    with open_session(other) as session:
        rows = session.rows("select * from functional_match where model_a = 'adhd'")
    assert [(row["layer_a"], row["head_a"]) for row in rows] == [(0, 0), (1, 1)]
    # Its twin, standard L0H3, was not ablated; a layer of one head leaves chance nothing to turn.
    assert (rows[0]["layer_b"], rows[0]["head_b"], rows[0]["correlation"]) == (0, 3, None)
    assert rows[0]["is_best"] is False
    assert [row["p_value"] for row in rows] == [1, 1]


def test_estimates_rank_and_agree_as_scipy_says(reference_session: Session) -> None:
    ranking = reference_session.rows("select * from attribution_ranking order by rank")
    assert len(ranking) == 2 * 3 * 12
    estimates: dict[tuple[str, Head], list[float]] = defaultdict(list)
    for row in reference_session.rows("select * from attribution_effects order by prompt_id"):
        head = (row["model"], row["layer"], row["head"])
        estimates[row["kind"], head].append(row["estimated_delta_loss_nats"])
    for row in ranking:
        values = estimates[row["kind"], (row["model"], row["layer"], row["head"])]
        low, high = scipy.stats.t.interval(
            0.95, len(values) - 1, np.mean(values), scipy.stats.sem(values)
        )
        found = [row[name] for name in ("mean_estimated_delta_loss_nats", "low", "high")]
        assert found == pytest.approx([np.mean(values), low, high], abs=1e-9)
    effects = by_prompt(reference_session, "delta_loss_nats")
    rows = reference_session.rows("select * from attribution_agreement order by model")
    # Only zero was also ablated exactly.
    assert [(row["model"], row["kind"]) for row in rows] == [("adhd", "zero"), ("standard", "zero")]
    for row in rows:
        heads = [head for head in effects if head[0] == row["model"]]
        exact = np.array([np.mean(effects[head]) for head in heads])
        estimated = np.array([np.mean(estimates["zero", head]) for head in heads])
        assert row["n_heads"] == len(heads) == 12
        pearson = scipy.stats.pearsonr(estimated, exact).statistic
        spearman = scipy.stats.spearmanr(estimated, exact).statistic
        assert row["correlation"] == pytest.approx(pearson, abs=1e-7)
        assert row["rank_correlation"] == pytest.approx(spearman, abs=1e-9)
        assert row["n_same_sign"] == (np.sign(estimated) == np.sign(exact)).sum()
        assert row["sign_agreement"] == row["n_same_sign"] / 12
        error = np.abs(estimated - exact).mean()
        assert row["mean_absolute_error_nats"] == pytest.approx(error, abs=1e-8)
        assert row["mean_absolute_change_nats"] == pytest.approx(np.abs(exact).mean(), abs=1e-8)


def test_interactions_are_joint_changes_less_the_single_ones(reference_session: Session) -> None:
    effects = by_prompt(reference_session, "delta_loss_nats")
    rows = reference_session.rows("select * from pair_interactions order by all")
    assert len(rows) == 2 * 2
    for row in rows:
        pair = {name: row[name] for name in ("model", "layer_a", "head_a", "layer_b", "head_b")}
        by_position = reference_session.rows(
            "select prompt_id, delta_loss_nats from pair_effects where model = $model "
            "and layer_a = $layer_a and head_a = $head_a and layer_b = $layer_b "
            "and head_b = $head_b and delta_loss_nats is not null",
            pair,
        )
        of_prompt: dict[int, list[float]] = defaultdict(list)
        for position in by_position:
            of_prompt[position["prompt_id"]].append(position["delta_loss_nats"])
        joint = np.array([np.mean(of_prompt[prompt]) for prompt in sorted(of_prompt)])
        singles = sum(
            np.array(effects[row["model"], row[f"layer_{end}"], row[f"head_{end}"]]) for end in "ab"
        )
        interaction = joint - singles
        low, high = scipy.stats.t.interval(
            0.95, len(joint) - 1, interaction.mean(), scipy.stats.sem(interaction)
        )
        names = ("mean_joint_delta_loss_nats", "mean_sum_of_singles_nats", "interaction_nats")
        found = [row[name] for name in (*names, "low", "high")]
        expected = [joint.mean(), np.mean(singles), interaction.mean(), low, high]
        assert found == pytest.approx(expected, abs=1e-9)
        assert row["n_prompts"] == 12
        assert abs(row["interaction_nats"]) > 1e-3, "else the heads do not interact"
