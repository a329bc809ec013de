"""Running a model with heads ablated, token after token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from ingest.ablation.controls import Controls
from ingest.ablation.replay import Replay
from ingest.generation.ablated import Condition

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from ingest.models.loaded import LoadedModel

# Means are taken over the dataset's prompts in batches of so many tokens.
_TOKENS_PER_BATCH = 1024


class Ablations:
    """What stands for ablated heads of one model, whatever position it is at.

    As in `headswap ablate`: zero, nothing; mean, the mean of what the head mixes over all positions
    of the dataset's prompts.
    """

    def __init__(self, model: LoadedModel, prompts: Mapping[int, NDArray[np.int32]]) -> None:
        """prompts: the token ids of the dataset's prompts."""
        self._model = model
        self._controls = Controls(Replay(model), prompts, model.n_heads, _TOKENS_PER_BATCH)

    def intervention(self, condition: Condition) -> Callable[[], AbstractContextManager[Any]]:
        """The context within which the model runs with the heads of a condition ablated."""
        if not condition.heads:
            return nullcontext
        controls = self._controls.for_batch(condition.kind, ())
        by_layer: dict[int, dict[int, torch.Tensor]] = {}
        for layer, head in condition.heads:
            by_layer.setdefault(layer, {})[head] = controls.of(layer, head).values
        hooks = [
            (f"blocks.{layer}.attn.o.hook_in", _replacing(values))
            for layer, values in by_layer.items()
        ]
        return lambda: self._model.bridge.hooks(fwd_hooks=hooks)


def _replacing(values: Mapping[int, torch.Tensor]) -> Callable[..., torch.Tensor]:
    """A hook that puts values in place of what some heads mix, at every position."""

    def replace(mixed: torch.Tensor, hook: Any) -> torch.Tensor:
        changed = mixed.clone()  # [text, position, head, d_head]
        for head, value in values.items():
            changed[:, :, head] = value
        return changed

    return replace
