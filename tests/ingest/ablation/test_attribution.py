"""`headswap ablate --method attribution`: gradients by hand, finite differences, what is stored."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ingest.ablation.controls import other_prompts
from sql.session import Session, open_session
from tests.support.oracles.ablation import bundle_logits, read_bundle
from tests.support.running import REFERENCE, Reference, Run, token_ids

N_LAYERS, N_HEADS, N_PROMPTS = 3, 4, 12
KINDS = ("zero", "mean", "resample")
MODEL = "adhd"
# What heads mix `[layer, head, position, d_head]`, of each prompt.
Mixed = dict[int, Tensor]


@pytest.fixture(scope="module")
def session(reference_session: Session) -> Session:
    return reference_session


@pytest.fixture(scope="module")
def prompts(session: Session) -> dict[int, list[int]]:
    rows = session.rows("select prompt_id from prompts order by prompt_id")
    return {row["prompt_id"]: token_ids(session, MODEL, row["prompt_id"]) for row in rows}


@pytest.fixture(scope="module")
def bundle() -> dict[str, Any]:
    return read_bundle(REFERENCE / MODEL)


def loss_of(logits: Tensor, ids: Sequence[int]) -> Tensor:
    """The mean loss of a prompt's tokens but the first."""
    logs = logits[:-1].log_softmax(-1)
    return -logs.gather(1, torch.tensor(ids[1:])[:, None]).mean()


def gradients(
    bundle: dict[str, Any], ids: Sequence[int], dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """What heads mix, and the gradient of the loss there: `[layer, head, position, d_head]`."""
    found: list[Tensor] = []

    def follow(_: int, mixed: Tensor) -> Tensor:
        found.append(mixed.requires_grad_())
        return mixed

    loss = loss_of(bundle_logits(bundle, ids, dtype=dtype, change=follow), ids)
    return torch.stack(found).detach(), torch.stack(torch.autograd.grad(loss, found))


def replacements(mixed: Mixed, kind: str, prompt: int) -> Tensor:
    """What stands for what heads mix in a prompt, as `mixed` of it."""
    own = mixed[prompt]
    if kind == "zero":
        return torch.zeros_like(own)
    if kind == "mean":
        return torch.cat(list(mixed.values()), dim=2).mean(2, keepdim=True).expand_as(own)
    other = mixed[other_prompts(sorted(mixed))[prompt]]
    return other[:, :, [min(place, other.shape[2] - 1) for place in range(own.shape[2])]]


def estimates(
    bundle: dict[str, Any], prompts: dict[int, list[int]], dtype: torch.dtype
) -> dict[str, NDArray[np.float64]]:
    """By kind `[prompt, layer, head]`, by hand."""
    found = {prompt: gradients(bundle, ids, dtype) for prompt, ids in prompts.items()}
    mixed = {prompt: values for prompt, (values, _) in found.items()}
    by_kind = {}
    for kind in KINDS:
        parts = [
            ((replacements(mixed, kind, prompt) - mixed[prompt]) * gradient).sum((2, 3))
            for prompt, (_, gradient) in found.items()
        ]
        by_kind[kind] = torch.stack(parts).double().numpy()
    return by_kind


def stored(session: Session, model: str = MODEL) -> dict[str, NDArray[np.float64]]:
    """By kind `[prompt, layer, head]`, as the dataset has them."""
    rows = session.rows(
        "select * from attribution_effects where model = $model "
        "order by kind, prompt_id, layer, head",
        {"model": model},
    )
    shape = (N_PROMPTS, N_LAYERS, N_HEADS)
    return {
        kind: np.array(
            [row["estimated_delta_loss_nats"] for row in rows if row["kind"] == kind]
        ).reshape(shape)
        for kind in dict.fromkeys(row["kind"] for row in rows)
    }


@pytest.fixture(scope="module")
def exact(bundle: dict[str, Any], prompts: dict[int, list[int]]) -> dict[str, NDArray[np.float64]]:
    return estimates(bundle, prompts, torch.float64)


@pytest.fixture(scope="module")
def bounds(
    bundle: dict[str, Any],
    prompts: dict[int, list[int]],
    exact: dict[str, NDArray[np.float64]],
) -> dict[str, float]:
    """How far single precision may be from double: 1e-5, or twice as far as it is by hand."""
    rounded = estimates(bundle, prompts, torch.float32)
    found = {}
    for kind in KINDS:
        largest, distance = np.abs(exact[kind]).max(), np.abs(rounded[kind] - exact[kind]).max()
        assert distance < 1e-3 * largest
        found[kind] = max(1e-5, 2 * float(distance))
    return found


def test_estimates_are_gradients_by_hand(
    session: Session, exact: dict[str, NDArray[np.float64]], bounds: dict[str, float]
) -> None:
    found = stored(session)
    assert found.keys() == exact.keys()
    for kind in KINDS:
        assert np.abs(exact[kind]).max() > 0.05, "else nothing was estimated"
        assert np.abs(found[kind] - exact[kind]).max() <= bounds[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_step_towards_the_replacement_changes_the_loss_as_estimated(
    kind: str, session: Session, bundle: dict[str, Any], prompts: dict[int, list[int]]
) -> None:
    step, found = 1e-6, stored(session)[kind]
    mixed = {prompt: gradients(bundle, ids, torch.float64)[0] for prompt, ids in prompts.items()}
    for number in (0, 7):
        prompt, ids = list(prompts.items())[number]
        others = replacements(mixed, kind, prompt)
        before = loss_of(bundle_logits(bundle, ids, dtype=torch.float64), ids)
        for layer, head in ((0, 0), (1, 2), (2, 3)):

            def towards(
                of_layer: int,
                own: Tensor,
                place: tuple[int, int] = (layer, head),
                other: Tensor = others[layer, head],
            ) -> Tensor:
                changed = own.clone()
                if of_layer == place[0]:
                    changed[place[1]] += step * (other - own[place[1]])
                return changed

            after = bundle_logits(bundle, ids, dtype=torch.float64, change=towards)
            change = float(loss_of(after, ids) - before) / step
            assert found[number, layer, head] == pytest.approx(change, abs=1e-4, rel=1e-3)


def test_a_planted_twin_has_the_same_estimate(
    session: Session, reference: Reference, bounds: dict[str, float]
) -> None:
    mine, its = stored(session), stored(session, "standard")
    for kind in KINDS:
        for layer, twins in enumerate(reference.head_permutation):
            found = its[kind][:, layer, list(twins)]
            assert mine[kind][:, layer] == pytest.approx(found, abs=bounds[kind])


def test_only_what_is_missing_is_estimated(run: Run, reference_copy: Path) -> None:
    words = ("ablate", reference_copy, "--method=attribution", "--model=adhd")
    done = json.loads(run(*words, "--head=L1H2", "--head=L0H0", "--json").out.splitlines()[0])
    assert done["added"] == {"adhd": 2 * N_PROMPTS}
    done = json.loads(run(*words, "--json").out.splitlines()[0])
    assert (done["added"], done["were_there"]) == ({"adhd": 10 * N_PROMPTS}, {"adhd": 2})
    outcome = run(*words)
    assert outcome.out == "adhd: 0 rows added, 12 ablations were there\n", "nothing to agree with"
    assert run("verify", reference_copy).code == 0


def test_agreement_is_printed_where_both_are_there(run: Run, reference_copy: Path) -> None:
    assert run("ablate", reference_copy, "--model=adhd", "--head=L0H0", "--head=L2H1").code == 0
    words = ("ablate", reference_copy, "--method=attribution", "--model=adhd")
    added, agreement = run(*words).out.splitlines()
    assert added == f"adhd: {12 * N_PROMPTS} rows added, 0 ablations were there"
    assert agreement.startswith("adhd, zero: estimates and exact effects of 2 heads correlate at ")
    with open_session(reference_copy) as session:
        (row,) = session.rows("select * from attribution_agreement")
    (_, printed) = map(json.loads, run(*words, "--json").out.splitlines())
    assert printed == {"agreement": [row]}
    assert abs(row["correlation"]) == pytest.approx(1), "of two heads"


@pytest.fixture
def reference_copy(ingested_reference: Path, tmp_path: Path) -> Path:
    """The reference bundles' dataset without ablations."""
    return Path(shutil.copytree(ingested_reference, tmp_path / "dataset"))
