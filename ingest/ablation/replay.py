"""Forwards that begin at an ablated layer: what lies below it is computed once.

The model runs whole, and what each layer gives is kept. To ablate heads of a layer, the layers
below give again what was kept, several copies of it side by side, one for each head; from the
ablated layer on the model computes as it always does. So neither masks nor positions nor what an
architecture does between its layers is written here again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ingest.kernel.errors import HeadswapError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.models.loaded import LoadedModel

# Of the largest logit; what lies within is rounding.
_TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2, "float16": 5e-3}


@dataclass(frozen=True)
class Kept:
    """What a batch gave when the model was whole.

    ids, mask: `[sequence, position]`. outputs: of each layer, as its module returns it: a tensor
    `[sequence, position, d_model]`, or a tuple that begins with one. logits: `[sequence, position,
    token]`.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    outputs: tuple[Any, ...]
    logits: torch.Tensor


@dataclass(frozen=True)
class Replacement:
    """What stands for the mixed values of a head, the pattern's mean of the values.

    values: broadcasts to `[sequence, position, d_head]`.
    """

    head: int
    values: torch.Tensor


class Replay:
    """Runs one model, whole and from a layer on."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._network: Any = model.bridge.original_model
        bridge: Any = model.bridge
        # Not the bridge's own modules, which pass attributes on to these.
        self._blocks = [bridge.blocks[layer].original_component for layer in range(model.n_layers)]

    def whole(self, sequences: Sequence[NDArray[np.int32]]) -> Kept:
        """Runs sequences together, padded on the right as for an ingest."""
        width = max(map(len, sequences))
        ids = torch.zeros(len(sequences), width, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, sequence in enumerate(sequences):
            ids[row, : len(sequence)] = torch.from_numpy(sequence.astype(np.int64))
            mask[row, : len(sequence)] = 1
        ids, mask = ids.to(self._model.device), mask.to(self._model.device)
        outputs: list[Any] = []

        def keep(block: Any, inputs: Any, output: Any) -> None:
            outputs.append(output)

        with ExitStack() as stack:
            for block in self._blocks:
                handle = block.register_forward_hook(
                    lambda _, inputs, output: outputs.append(output)
                )
                stack.callback(handle.remove)
            logits = self._logits(ids, mask)
        if len(outputs) != len(self._blocks):
            raise HeadswapError(
                f"model {self._model.name!r} ran {len(outputs)} layers instead of "
                f"{len(self._blocks)}",
                hint="its architecture cannot be run from a layer on",
            )
        return Kept(ids, mask, tuple(outputs), logits)

    def mixed_values(self, sequences: Sequence[NDArray[np.int32]]) -> list[torch.Tensor]:
        """The mixed values of each layer, `[sequence, position, head, d_head]`."""
        found: list[torch.Tensor] = []

        def keep(mixed: torch.Tensor, hook: Any) -> None:
            found.append(mixed)

        hooks = [(_mixed_hook(layer), keep) for layer in range(len(self._blocks))]
        with self._model.bridge.hooks(fwd_hooks=hooks):
            self.whole(sequences)
        return found

    def ablated(self, kept: Kept, layer: int, replacements: Sequence[Replacement]) -> torch.Tensor:
        """Logits `[replacement, sequence, position, token]`, each replacement by itself."""
        n_copies, n_sequences = len(replacements), len(kept.ids)

        def replace(mixed: torch.Tensor, hook: Any) -> torch.Tensor:
            changed = mixed.clone().view(n_copies, n_sequences, *mixed.shape[1:])
            for copy, replacement in enumerate(replacements):
                changed[copy, :, :, replacement.head] = replacement.values
            return changed.view(mixed.shape)

        with (
            self._giving_again(kept, layer, n_copies),
            self._model.bridge.hooks(fwd_hooks=[(_mixed_hook(layer), replace)]),
        ):
            logits = self._logits(kept.ids.repeat(n_copies, 1), kept.mask.repeat(n_copies, 1))
        return logits.view(n_copies, n_sequences, *logits.shape[1:])

    def check(self, kept: Kept) -> None:
        """Whether the model, run from each layer on and left whole, gives what it gave.

        Raises: InputError where it does not.
        """
        largest = max(1.0, float(kept.logits.abs().max()))
        for layer in range(len(self._blocks)):
            with self._giving_again(kept, layer, 1):
                again = self._logits(kept.ids, kept.mask)
            difference = float((again - kept.logits).abs().max())
            if not difference <= _TOLERANCE[self._model.dtype] * largest:  # also for NaN
                raise InputError(
                    f"model {self._model.name!r} ({self._model.architecture}), run from layer "
                    f"{layer} on, differs from itself by {difference:.1e}",
                    hint="its architecture cannot be ablated, or its logits are not finite",
                )

    @contextmanager
    def _giving_again(self, kept: Kept, layer: int, n_copies: int) -> Iterator[None]:
        """Within, layers below `layer` give what the last of them gave, in copies."""
        if layer == 0:
            yield
            return
        output = _copies(kept.outputs[layer - 1], n_copies)
        with ExitStack() as stack:
            for block in self._blocks[:layer]:
                stack.enter_context(_giving(block, output))
            yield

    def _logits(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        # No query of a causal model sees the padding behind it.
        arguments = {} if self._model.is_causal else {"attention_mask": mask}
        with torch.inference_mode():
            logits: torch.Tensor = self._network(input_ids=ids, **arguments).logits
        return logits


def _mixed_hook(layer: int) -> str:
    return f"blocks.{layer}.attn.o.hook_in"


@contextmanager
def _giving(module: Any, output: Any) -> Iterator[None]:
    """Within, a module computes nothing and gives `output`."""
    own = module.__dict__.get("forward")
    module.forward = lambda *arguments, **options: output
    try:
        yield
    finally:
        del module.forward
        if own is not None:
            module.forward = own


def _copies(output: Any, n_copies: int) -> Any:
    if isinstance(output, tuple):
        return (_copies(output[0], n_copies), *output[1:])
    return output.repeat(n_copies, 1, 1)
