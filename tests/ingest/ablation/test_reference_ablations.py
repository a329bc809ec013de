"""Zero ablation of the reference bundles against a forward written by hand, every head."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from torch import Tensor

from ingest.ablation.options import ZERO
from ingest.ablation.pipeline import ablator_of
from ingest.dataset.reader import Dataset, open_dataset
from sql.session import Session
from tests.support.oracles.ablation import bundle_logits, read_bundle
from tests.support.running import REFERENCE, Reference

N_LAYERS, N_HEADS = 3, 4
MODELS = ("standard", "adhd")


@dataclass(frozen=True)
class ByHand:
    """Logs of probabilities `[place, token]`, whole and without each head; ids of true tokens."""

    whole: Tensor
    ablated: dict[tuple[int, int], Tensor]
    targets: Tensor


@pytest.fixture(scope="module")
def dataset(reference_dataset: Path) -> Dataset:
    return open_dataset(reference_dataset)


@pytest.fixture(scope="module")
def prompts(dataset: Dataset) -> dict[int, list[int]]:
    rows = dataset.read_table("tokens").sort_by(
        [("prompt_id", "ascending"), ("position", "ascending")]
    )
    found: dict[int, list[int]] = {}
    for row in rows.to_pylist():
        found.setdefault(row["prompt_id"], []).append(row["token_id"])
    return found


@pytest.fixture(scope="module")
def by_hand(prompts: dict[int, list[int]]) -> dict[str, ByHand]:
    """The places of all prompts one after the other."""
    found = {}
    for model in MODELS:
        bundle = read_bundle(REFERENCE / model)

        def logs(head: tuple[int, int] | None, bundle: Any = bundle) -> Tensor:
            parts = [bundle_logits(bundle, ids, head) for ids in prompts.values()]
            return torch.cat(parts).log_softmax(-1)

        heads = [(layer, head) for layer in range(N_LAYERS) for head in range(N_HEADS)]
        targets = torch.tensor([i for ids in prompts.values() for i in (*ids[1:], -1)])
        found[model] = ByHand(logs(None), {head: logs(head) for head in heads}, targets)
    return found


def effects(dataset: Dataset, model: str, layer: int, head: int) -> dict[str, Any]:
    rows = pa.concat_tables(
        [pa.parquet.read_table(path) for path in dataset.table_files("ablation_effects", model)]
    )
    mine = rows.filter(pc.and_(pc.equal(rows["layer"], layer), pc.equal(rows["head"], head)))
    mine = mine.sort_by([("prompt_id", "ascending"), ("position", "ascending")])
    return {name: mine[name].to_numpy() for name in mine.column_names}


def bound(found: dict[str, Any], expected: ByHand) -> float:
    """1e-5, or twice what the two ways to compute the whole model are apart on this processor."""
    has_target = expected.targets >= 0
    loss = expected.whole[has_target].gather(1, expected.targets[has_target, None])[:, 0]
    own = np.log(found["probability_before"][has_target.numpy()].astype(float)) - loss.numpy()
    assert np.abs(own).max() < 1e-3
    return max(1e-5, 2 * float(np.abs(own).max()))


@pytest.mark.parametrize("model", MODELS)
def test_zero_ablation_equals_a_forward_by_hand(
    model: str, dataset: Dataset, by_hand: dict[str, ByHand]
) -> None:
    expected = by_hand[model]
    has_target = (expected.targets >= 0).numpy()
    for (layer, head), after in expected.ablated.items():
        found = effects(dataset, model, layer, head)
        allowed = bound(found, expected)
        true = expected.targets.clamp(min=0)[:, None]
        change = (expected.whole - after).gather(1, true)[:, 0].numpy()
        kl = (expected.whole.exp() * (expected.whole - after)).sum(-1).numpy()
        assert np.abs(change).max() > 0.01, "else nothing was ablated"
        assert np.isnan(found["delta_loss_nats"][~has_target]).all()
        assert np.abs(found["delta_loss_nats"] - change)[has_target].max() <= allowed
        assert np.abs(found["kl_nats"] - kl).max() <= allowed
        for name, logs in (("before", expected.whole), ("after", after)):
            probability = logs.gather(1, true)[:, 0].exp().numpy()[has_target]
            assert np.abs(found[f"probability_{name}"][has_target] - probability).max() <= allowed


@pytest.mark.parametrize("model", MODELS)
def test_the_five_most_probable_tokens_are_the_same(
    model: str, dataset: Dataset, by_hand: dict[str, ByHand]
) -> None:
    expected = by_hand[model]
    entry = dataset.manifest.model(model)
    assert entry is not None
    ablator = ablator_of(dataset, entry, None, {})
    (readings,) = ablator.batches()
    batch = ablator.run(readings)
    for layer in range(N_LAYERS):
        for head, logits in enumerate(batch.logits(ZERO, layer, range(N_HEADS))):
            found = batch.before.log_probabilities(logits)
            by_rank = expected.ablated[layer, head].topk(6)
            # Where two are closer than rounding, their order means nothing.
            is_clear = (by_rank.values.diff(dim=1).abs() > 1e-3).all(1)
            assert is_clear.float().mean() > 0.8
            assert torch.equal(found.topk(5).indices[is_clear], by_rank.indices[is_clear, :5])


def test_a_planted_twin_has_the_same_effect(
    dataset: Dataset, by_hand: dict[str, ByHand], reference: Reference
) -> None:
    for layer, twins in enumerate(reference.head_permutation):
        for head, twin in enumerate(twins):
            mine = effects(dataset, "adhd", layer, head)
            its = effects(dataset, "standard", layer, twin)
            allowed = max(bound(mine, by_hand["adhd"]), bound(its, by_hand["standard"]))
            for name in ("delta_loss_nats", "kl_nats", "probability_after"):
                difference = np.nanmax(np.abs(mine[name] - its[name]))
                assert difference <= allowed, (layer, head, name)


def test_every_match_by_attention_is_the_match_by_effect(
    reference_session: Session, reference: Reference
) -> None:
    rows = reference_session.rows(
        "select * from functional_match where model_a = 'adhd' order by layer_a, head_a"
    )
    assert len(rows) == N_LAYERS * N_HEADS
    for row in rows:
        twin = (row["layer_a"], reference.head_permutation[row["layer_a"]][row["head_a"]])
        assert (row["layer_b"], row["head_b"]) == twin
        assert (row["best_layer_b"], row["best_head_b"]) == twin
        assert row["is_best"] is True
        assert row["correlation"] == pytest.approx(1, abs=1e-4)
        assert row["p_family"] <= 0.05
