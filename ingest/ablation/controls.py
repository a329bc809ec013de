"""What takes the place of what a head mixes: nothing, its mean, or that of another prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from ingest.ablation.options import MEAN, ZERO
from ingest.ablation.replay import Replacement, Replay
from ingest.kernel.errors import InputError
from ingest.producers.batches import plan_batches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.ablation.readings import Reading

# Of the draw of the prompts that `resample` takes from; no option, so that rows stay comparable.
RESAMPLE_SEED = 0


class Controls:
    """The replacements of the heads of one model.

    zero: nothing, as a pattern of zeros mixes, a value bias included. mean: the mean of what the
    head mixes over all positions of all prompts, as the model reads them unmasked. resample: what
    it mixes in another prompt, drawn once for each prompt with seed 0, at the same position, or at
    that prompt's last one where it is shorter.
    """

    def __init__(
        self,
        replay: Replay,
        prompts: Mapping[int, NDArray[np.int32]],
        n_heads: int,
        tokens_per_batch: int,
    ) -> None:
        """prompts: the token ids of each; all that `mean` and `resample` take from."""
        self._replay, self._prompts = replay, prompts
        self._n_heads, self._tokens_per_batch = n_heads, tokens_per_batch
        self._means: list[torch.Tensor] | None = None

    def for_batch(self, kind: str, readings: Sequence[Reading]) -> BatchControls:
        """What stands for heads in a batch of readings; kind: of KINDS."""
        if kind == ZERO:
            return BatchControls(None)
        if kind == MEAN:
            return BatchControls(self._mean_values())
        return BatchControls(self._other_values(readings))

    def _mean_values(self) -> list[torch.Tensor]:
        """Of each layer `[1, 1, head, d_head]`."""
        if self._means is None:
            sequences = list(self._prompts.values())
            totals: list[torch.Tensor] = []
            limit = self._tokens_per_batch
            for batch in plan_batches([len(ids) for ids in sequences], self._n_heads, limit):
                members = [sequences[member] for member in batch.members]
                for layer, mixed in enumerate(self._replay.whole(members).mixed):
                    # In double precision, as there are many to add.
                    parts = [
                        mixed[row, : len(ids)].cpu().double().sum(0)
                        for row, ids in enumerate(members)
                    ]
                    if layer == len(totals):
                        totals.append(torch.zeros_like(parts[0]))
                    totals[layer] += torch.stack(parts).sum(0)
                kind, device = mixed.dtype, mixed.device
            count = sum(map(len, sequences))
            self._means = [
                (total / count).to(device=device, dtype=kind)[None, None] for total in totals
            ]
        return self._means

    def _other_values(self, readings: Sequence[Reading]) -> list[torch.Tensor]:
        """Of each layer `[reading, position, head, d_head]`."""
        others = other_prompts(sorted(self._prompts))
        chosen = list(dict.fromkeys(others[reading.prompt_id] for reading in readings))
        values = self._replay.whole([self._prompts[other] for other in chosen]).mixed
        width = max(len(reading.token_ids) for reading in readings)
        rows = [chosen.index(others[reading.prompt_id]) for reading in readings]
        lengths = np.array([len(self._prompts[chosen[row]]) for row in rows])
        places = np.minimum(np.arange(width)[None], lengths[:, None] - 1)
        row_index = torch.tensor(rows, device=values[0].device)[:, None]
        place_index = torch.from_numpy(places).to(values[0].device)
        return [mixed[row_index, place_index] for mixed in values]


class BatchControls:
    """The replacements in one batch. values: of each layer, None where all are zero."""

    def __init__(self, values: Sequence[torch.Tensor] | None) -> None:
        self._values = values

    def of(self, layer: int, head: int) -> Replacement:
        """What stands for a head."""
        if self._values is None:
            return Replacement(layer, head, torch.zeros(()))
        return Replacement(layer, head, self._values[layer][:, :, head])


def other_prompts(prompt_ids: Sequence[int]) -> dict[int, int]:
    """Of each prompt another, each drawn once: the next in a random order.

    >>> sorted(other_prompts([3, 5, 8]).values())
    [3, 5, 8]

    Raises: InputError where there is no other.
    """
    if len(prompt_ids) < 2:
        raise InputError(
            "--kind resample takes what a head mixes in another prompt, but there is only one",
            hint="choose --kind zero or mean, or ingest more prompts",
        )
    order = np.random.default_rng(RESAMPLE_SEED).permutation(np.asarray(prompt_ids))
    return dict(zip(order.tolist(), np.roll(order, -1).tolist(), strict=True))
