"""Zero ablation of the reference bundles against a forward written by hand, every head."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ingest.ablation.options import ZERO
from ingest.ablation.pipeline import ablator_of
from ingest.dataset.reader import Dataset, open_dataset
from sql.session import Session
from tests.support.oracles.ablation import bundle_logits, read_bundle
from tests.support.running import REFERENCE, Reference

N_LAYERS, N_HEADS = 3, 4
MODELS = ("standard", "adhd")


NUMBERS = ("delta_loss_nats", "kl_nats", "probability_before", "probability_after")
Head = tuple[int, int]
Values = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class ByHand:
    """What a forward by hand gives of each head, the places of all prompts one after the other.

    effects: the columns of `ablation_effects` in double precision, NaN where no token follows.
    logs: of the ablated model's probabilities, `[place, token]`. bounds: how far each number may be
    from these: 1e-5, or where single precision takes a forward by hand further, twice as far.
    """

    effects: dict[Head, Values]
    logs: dict[Head, Tensor]
    bounds: dict[str, float]


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
    targets = torch.tensor([i for ids in prompts.values() for i in (*ids[1:], -1)])
    heads = [(layer, head) for layer in range(N_LAYERS) for head in range(N_HEADS)]
    found = {}
    for model in MODELS:
        bundle = read_bundle(REFERENCE / model)

        def logs(head: Head | None, dtype: torch.dtype, bundle: Any = bundle) -> Tensor:
            heads = [head] if head else []
            parts = [bundle_logits(bundle, ids, heads, dtype) for ids in prompts.values()]
            return torch.cat(parts).log_softmax(-1)

        exact = {head: logs(head, torch.float64) for head in (None, *heads)}
        rounded = {head: logs(head, torch.float32) for head in (None, *heads)}
        effects = {head: numbers(exact[None], exact[head], targets) for head in heads}
        own = {head: numbers(rounded[None], rounded[head], targets) for head in heads}
        bounds = {}
        for name in NUMBERS:
            distance = max(distance_of(own[head][name], effects[head][name]) for head in heads)
            assert distance < 1e-3
            bounds[name] = max(1e-5, 2 * distance)
        found[model] = ByHand(effects, {head: exact[head] for head in heads}, bounds)
    return found


def numbers(before: Tensor, after: Tensor, targets: Tensor) -> Values:
    true = targets.clamp(min=0)[:, None]
    columns = {
        "delta_loss_nats": (before - after).gather(1, true)[:, 0],
        "probability_before": before.gather(1, true)[:, 0].exp(),
        "probability_after": after.gather(1, true)[:, 0].exp(),
    }
    found = {name: torch.where(targets < 0, torch.nan, c) for name, c in columns.items()}
    found["kl_nats"] = (before.exp() * (before - after)).sum(-1)
    return {name: column.double().numpy() for name, column in found.items()}


def distance_of(found: NDArray[Any], expected: NDArray[Any]) -> float:
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    return float(np.nanmax(np.abs(found - expected)))


def effects(dataset: Dataset, model: str, layer: int, head: int) -> dict[str, Any]:
    rows = pa.concat_tables(
        [pq.read_table(path) for path in dataset.table_files("ablation_effects", model)]
    )
    mine = rows.filter(pc.and_(pc.equal(rows["layer"], layer), pc.equal(rows["head"], head)))
    mine = mine.sort_by([("prompt_id", "ascending"), ("position", "ascending")])
    return {name: mine[name].to_numpy() for name in mine.column_names}


@pytest.mark.parametrize("model", MODELS)
def test_zero_ablation_equals_a_forward_by_hand(
    model: str, dataset: Dataset, by_hand: dict[str, ByHand]
) -> None:
    for (layer, head), expected in by_hand[model].effects.items():
        assert np.nanmax(np.abs(expected["delta_loss_nats"])) > 0.01, "else nothing was ablated"
        found = effects(dataset, model, layer, head)
        for name in NUMBERS:
            assert distance_of(found[name], expected[name]) <= by_hand[model].bounds[name], name


@pytest.mark.parametrize("model", MODELS)
def test_the_five_most_probable_tokens_are_the_same(
    model: str,
    dataset: Dataset,
    prompts: dict[int, list[int]],
    by_hand: dict[str, ByHand],
) -> None:
    expected = by_hand[model]
    entry = dataset.manifest.model(model)
    assert entry is not None
    ablator = ablator_of(dataset, entry, None, {})
    ends = np.cumsum([len(ids) for ids in prompts.values()])
    places = dict(zip(prompts, np.split(np.arange(ends[-1]), ends[:-1]), strict=True))
    (readings,) = ablator.batches()
    for part in ablator.run(readings).parts:
        rows = np.concatenate([places[reading.prompt_id] for reading in part.readings])
        for layer in range(N_LAYERS):
            for head, logits in enumerate(
                part.logits(ZERO, [((layer, head),) for head in range(N_HEADS)])
            ):
                found = part.before.log_probabilities(logits)
                by_rank = expected.logs[layer, head][rows].topk(6)
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
            for name in NUMBERS:
                allowed = max(by_hand[model].bounds[name] for model in MODELS)
                assert distance_of(mine[name], its[name]) <= allowed, (layer, head, name)


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
