"""What ablating a head changes in a model's predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch

from ingest.ablation.readings import NO_TARGET, Reading

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Effects:
    """Of one head, one entry a place that is read: prompts and their positions in order.

    delta_loss_nats, probability_before, probability_after: float32, NaN where no token follows.
    kl_nats: float32. top_token_before, top_token_after: token ids.
    """

    delta_loss_nats: NDArray[np.float32]
    kl_nats: NDArray[np.float32]
    probability_before: NDArray[np.float32]
    probability_after: NDArray[np.float32]
    top_token_before: NDArray[np.int64]
    top_token_after: NDArray[np.int64]


def joined(parts: Sequence[Effects], order: NDArray[np.int64]) -> Effects:
    """The effects of several parts as one; order: of each place its number among those of all."""
    names = [field.name for field in fields(Effects)]
    return Effects(
        **{name: np.concatenate([getattr(part, name) for part in parts])[order] for name in names}
    )


@dataclass(frozen=True)
class Places:
    """Where a batch's readings are looked at, one entry a place, on the device of the logits.

    sequence, position: of the logits. target: `[place, 1]`, id of the true token, 0 where there is
    none; has_target: where there is one.
    """

    sequence: torch.Tensor
    position: torch.Tensor
    target: torch.Tensor
    has_target: NDArray[np.bool_]

    @classmethod
    def of(cls, readings: Sequence[Reading], device: torch.device) -> Places:
        """Those of readings that are the sequences of the logits."""
        counts = [len(reading.positions) for reading in readings]
        sequence = np.repeat(np.arange(len(readings)), counts)
        position = np.concatenate([reading.positions for reading in readings]).astype(np.int64)
        target = np.concatenate([reading.targets for reading in readings]).astype(np.int64)
        return cls(
            torch.from_numpy(sequence).to(device),
            torch.from_numpy(position).to(device),
            torch.from_numpy(target).clamp(min=0).to(device)[:, None],
            target != NO_TARGET,
        )

    def log_probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """`[place, token]`, float32, of logits `[sequence, position, token]`."""
        return self.at(logits).float().log_softmax(-1)

    def at(self, tensor: torch.Tensor) -> torch.Tensor:
        """`[place, ...]` of `[sequence, position, ...]`."""
        return tensor[self.sequence, self.position]


class Predictions:
    """What the whole model predicts at the places of a batch's readings."""

    def __init__(self, readings: Sequence[Reading], logits: torch.Tensor) -> None:
        """logits: `[sequence, position, token]`."""
        self._places = Places.of(readings, logits.device)
        self._top = self._places.at(logits).argmax(-1)
        self._log = self.log_probabilities(logits)
        self._probability = self._log.exp()
        self._log_true = self._log.gather(1, self._places.target)[:, 0]

    def log_probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """`[place, token]`, float32, of logits `[sequence, position, token]`."""
        return self._places.log_probabilities(logits)

    def effects(self, logits: torch.Tensor) -> Effects:
        """What changes where the model gives these logits `[sequence, position, token]` instead."""
        log = self.log_probabilities(logits)
        top = log.argmax(-1)
        log_true = log.gather(1, self._places.target)[:, 0]
        # In place: the logarithms are as large as the logits, and there is one set for each head.
        kl = log.neg_().add_(self._log).mul_(self._probability).sum(-1)
        return Effects(
            self._where_true(self._log_true - log_true),
            kl.cpu().numpy(),
            self._where_true(self._log_true.exp()),
            self._where_true(log_true.exp()),
            self._top.cpu().numpy(),
            top.cpu().numpy(),
        )

    def _where_true(self, values: torch.Tensor) -> NDArray[np.float32]:
        found: NDArray[np.float32] = np.where(self._places.has_target, values.cpu().numpy(), np.nan)
        return found.astype(np.float32)
