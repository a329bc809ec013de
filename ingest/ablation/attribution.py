"""Attribution patching: the effects of all heads, estimated from one gradient.

To first order, replacing what a head mixes by something else changes the loss by the loss's
gradient at what it mixes, times the replacement less what it mixes. One forward and one backward
give that of every head at once, where an exact sweep runs the model once for each; `resample` takes
one more forward, of the other prompts (Nanda 2023, "Attribution patching"; Syed et al. 2023, arXiv
2310.10348).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ingest.ablation.effects import Places
from ingest.ablation.readings import NO_TARGET

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.ablation.controls import Controls
    from ingest.ablation.readings import Reading
    from ingest.ablation.replay import Replay


@dataclass(frozen=True)
class Estimates:
    """What ablating each head is estimated to change in some prompts.

    n_positions: `[prompt]`, those with a true token. delta_loss_nats: by kind `[layer, head,
    prompt]`, the mean change of the loss over these, NaN where there are none.
    """

    n_positions: NDArray[np.int32]
    delta_loss_nats: dict[str, NDArray[np.float64]]


def estimates(
    replay: Replay,
    controls: Controls,
    parts: Sequence[Sequence[Reading]],
    prompt_ids: Sequence[int],
    kinds: Sequence[str],
) -> Estimates:
    """Estimates the effects of all heads. parts: all readings of the prompts, as they run together.

    Raises: HeadswapError where the loss does not depend on what a layer mixes; InputError where a
    kind takes from another prompt and there is none.
    """
    number_of = {prompt_id: number for number, prompt_id in enumerate(prompt_ids)}
    n_positions = np.zeros(len(prompt_ids), dtype=np.int32)
    totals: dict[str, NDArray[np.float64]] = {}
    for readings in parts:
        numbers = [number_of[reading.prompt_id] for reading in readings]
        counts = [np.count_nonzero(reading.targets != NO_TARGET) for reading in readings]
        np.add.at(n_positions, numbers, counts)
        for kind, changes in _changes(replay, controls, readings, kinds).items():
            total = totals.setdefault(kind, np.zeros((*changes.shape[:2], len(prompt_ids))))
            for number, change in zip(numbers, np.moveaxis(changes, -1, 0), strict=True):
                total[..., number] += change
    means = np.where(n_positions > 0, n_positions, np.nan)
    return Estimates(n_positions, {kind: total / means for kind, total in totals.items()})


def _changes(
    replay: Replay, controls: Controls, readings: Sequence[Reading], kinds: Sequence[str]
) -> Mapping[str, NDArray[np.float64]]:
    """By kind `[layer, head, reading]`: the estimated change of the sum of the losses."""

    def loss_of(logits: torch.Tensor) -> torch.Tensor:
        places = Places.of(readings, logits.device)
        log_true = places.log_probabilities(logits).gather(1, places.target)[:, 0]
        return -log_true[torch.from_numpy(places.has_target).to(logits.device)].sum()

    layers = replay.gradients([reading.token_ids for reading in readings], loss_of)
    found = {}
    with torch.inference_mode():
        for kind in kinds:
            of_batch = controls.for_batch(kind, readings)
            of_layers = []
            for layer, (mixed, gradient) in enumerate(layers):
                changed = mixed.clone()
                for head in range(mixed.shape[2]):
                    changed[:, :, head] = of_batch.of(layer, head).values
                # No loss depends on padding, whose gradient is 0.
                by_head = ((changed - mixed).double() * gradient.double()).sum((1, 3))
                of_layers.append(by_head.T.cpu().numpy())
            found[kind] = np.stack(of_layers)
    return found
