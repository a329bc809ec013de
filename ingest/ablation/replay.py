"""Forwards that begin at an ablated layer: what lies below it is computed once.

The model runs whole, and what each layer gives is kept. To ablate heads of a layer, the layers
below give again what was kept, several copies of it side by side, one for each head; so does the
layer's attention, up to what its heads mix. From there on the model computes as it always does. So
neither masks nor positions nor what an architecture does between its layers is written here again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
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
    token]`. mixed: what the heads of each layer mix, `[sequence, position, head, d_head]`.
    attentions: of each layer what its attention module returns, None where that is more than the
    output matrix makes of what heads mix.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    outputs: tuple[Any, ...]
    mixed: tuple[torch.Tensor, ...]
    attentions: tuple[Any, ...]
    logits: torch.Tensor


@dataclass(frozen=True)
class Replacement:
    """What stands for the mixed values of a head, the pattern's mean of the values.

    values: broadcasts to `[sequence, position, d_head]`.
    """

    layer: int
    head: int
    values: torch.Tensor


class Replay:
    """Runs one model, whole and from a layer on."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._network: Any = model.bridge.original_model
        bridge: Any = model.bridge
        blocks = [bridge.blocks[layer] for layer in range(model.n_layers)]
        self._blocks = [block.original_component for block in blocks]
        self._attentions = [block.attn for block in blocks]
        self._output_matrices = [block.attn.o.original_component for block in blocks]

    def whole(self, sequences: Sequence[NDArray[np.int32]]) -> Kept:
        """Runs sequences together, padded on the right as for an ingest.

        Raises: HeadswapError where a layer did not run once.
        """
        ids, mask = self._padded(sequences)
        kinds = (self._blocks, self._attentions, self._output_matrices)
        seen: list[list[Any]] = [[] for _ in kinds]
        mixed: list[torch.Tensor] = []

        def keep_mixed(tensor: torch.Tensor, hook: Any) -> None:
            mixed.append(tensor)

        hooks = [(_mixed_hook(layer), keep_mixed) for layer in range(len(self._blocks))]
        with ExitStack() as stack:
            for modules, outputs in zip(kinds, seen, strict=True):
                for module in modules:
                    stack.callback(module.register_forward_hook(_keeping(outputs)).remove)
            stack.enter_context(self._model.bridge.hooks(fwd_hooks=hooks))
            logits = self._logits(ids, mask)
        for found in (*seen, mixed):
            self._check_count(len(found))
        outputs, attentions, projected = seen
        known = [
            attention if torch.equal(_first(attention), own) else None
            for attention, own in zip(attentions, projected, strict=True)
        ]
        return Kept(ids, mask, tuple(outputs), tuple(mixed), tuple(known), logits)

    def gradients(
        self,
        sequences: Sequence[NDArray[np.int32]],
        loss_of: Callable[[torch.Tensor], torch.Tensor],
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Of each layer what its heads mix, and the gradient of a loss with respect to it.

        loss_of: a number from the logits `[sequence, position, token]`. Both are `[sequence,
        position, head, d_head]`, as in Kept.

        Raises: HeadswapError where a layer did not run once, or the loss does not depend on it.
        """
        ids, mask = self._padded(sequences)
        mixed: list[torch.Tensor] = []
        changes: list[torch.Tensor] = []

        def changeable(tensor: torch.Tensor, hook: Any) -> torch.Tensor:
            mixed.append(tensor.detach())
            # The gradient of a change that is added, here 0, is that of what it is added to.
            changes.append(torch.zeros_like(tensor, requires_grad=True))
            return tensor + changes[-1]

        hooks = [(_mixed_hook(layer), changeable) for layer in range(len(self._blocks))]
        with torch.enable_grad(), self._model.bridge.hooks(fwd_hooks=hooks):
            loss = loss_of(self._forward(ids, mask))
            found = torch.autograd.grad(loss, changes, allow_unused=True)
        self._check_count(sum(gradient is not None for gradient in found))
        return list(zip(mixed, found, strict=True))

    def ablated(
        self, kept: Kept, layer: int, copies: Sequence[Sequence[Replacement]]
    ) -> torch.Tensor:
        """Logits `[copy, sequence, position, token]`, each copy with its own replacements.

        layer: the lowest of those of the replacements.
        """
        n_copies = len(copies)
        by_layer: dict[int, list[tuple[int, Replacement]]] = {layer: []}
        for copy, replacements in enumerate(copies):
            for replacement in replacements:
                by_layer.setdefault(replacement.layer, []).append((copy, replacement))
        mixed = kept.mixed[layer].repeat(n_copies, 1, 1, 1)
        _replace(mixed, n_copies, by_layer.pop(layer))
        above = [
            (_mixed_hook(other), partial(_replaced, n_copies=n_copies, chosen=chosen))
            for other, chosen in by_layer.items()
        ]
        with (
            self._giving_again(kept, layer, n_copies),
            self._mixing(layer, mixed, kept.attentions[layer]),
            self._model.bridge.hooks(fwd_hooks=above),
        ):
            logits = self._logits(kept.ids.repeat(n_copies, 1), kept.mask.repeat(n_copies, 1))
        return logits.view(n_copies, *kept.logits.shape)

    def check(self, kept: Kept) -> None:
        """Whether the model, run from each layer on and left whole, gives what it gave.

        Raises: InputError where it does not.
        """
        largest = max(1.0, float(kept.logits.abs().max()))
        for layer, mixed in enumerate(kept.mixed):
            (again,) = self.ablated(kept, layer, [[Replacement(layer, 0, mixed[:, :, 0])]])
            difference = float((again - kept.logits).abs().max())
            if not difference <= _TOLERANCE[self._model.dtype] * largest:  # also for NaN
                raise InputError(
                    f"model {self._model.name!r} ({self._model.architecture}), run from layer "
                    f"{layer} on, differs from itself by {difference:.1e}",
                    hint="its architecture cannot be ablated, or its logits are not finite",
                )

    @contextmanager
    def _mixing(self, layer: int, mixed: torch.Tensor, attention: Any) -> Iterator[None]:
        """Within, the heads of a layer mix `mixed`; attention: as in Kept."""
        if attention is None:

            def replace(own: torch.Tensor, hook: Any) -> torch.Tensor:
                return mixed

            with self._model.bridge.hooks(fwd_hooks=[(_mixed_hook(layer), replace)]):
                yield
            return
        written = self._output_matrices[layer](mixed.flatten(2))
        given = (written, *[None] * (len(attention) - 1)) if _is_many(attention) else written
        with _giving(self._attentions[layer], given):
            yield

    @contextmanager
    def _giving_again(self, kept: Kept, layer: int, n_copies: int) -> Iterator[None]:
        """Within, layers below `layer` give what the last of them gave, in copies."""
        if layer == 0:
            yield
            return
        kept_output = kept.outputs[layer - 1]
        copies = _first(kept_output).repeat(n_copies, 1, 1)
        output = (copies, *kept_output[1:]) if _is_many(kept_output) else copies
        with ExitStack() as stack:
            for block in self._blocks[:layer]:
                stack.enter_context(_giving(block, output))
            yield

    def _padded(self, sequences: Sequence[NDArray[np.int32]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and mask `[sequence, position]`, padded on the right."""
        width = max(map(len, sequences))
        ids = torch.zeros(len(sequences), width, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, sequence in enumerate(sequences):
            ids[row, : len(sequence)] = torch.from_numpy(sequence.astype(np.int64))
            mask[row, : len(sequence)] = 1
        return ids.to(self._model.device), mask.to(self._model.device)

    def _check_count(self, n_layers: int) -> None:
        """Raises: HeadswapError where not every layer ran once."""
        if n_layers != len(self._blocks):
            raise HeadswapError(
                f"model {self._model.name!r} ran {n_layers} layers instead of {len(self._blocks)}",
                hint="its architecture cannot be run from a layer on",
            )

    def _logits(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return self._forward(ids, mask)

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        # No query of a causal model sees the padding behind it.
        arguments = {} if self._model.is_causal else {"attention_mask": mask}
        logits: torch.Tensor = self._network(input_ids=ids, **arguments).logits
        return logits


def _mixed_hook(layer: int) -> str:
    return f"blocks.{layer}.attn.o.hook_in"


def _replace(mixed: torch.Tensor, n_copies: int, chosen: Sequence[tuple[int, Replacement]]) -> None:
    """Puts replacements into `[copy x sequence, position, head, d_head]`, each in its copy."""
    by_copy = mixed.view(n_copies, -1, *mixed.shape[1:])
    for copy, replacement in chosen:
        by_copy[copy, :, :, replacement.head] = replacement.values


def _replaced(
    mixed: torch.Tensor,
    hook: Any,
    n_copies: int,
    chosen: Sequence[tuple[int, Replacement]],
) -> torch.Tensor:
    """A hook that gives what heads mix with replacements in it."""
    changed = mixed.clone(memory_format=torch.contiguous_format)
    _replace(changed, n_copies, chosen)
    return changed


def _keeping(outputs: list[Any]) -> Callable[..., None]:
    def keep(module: Any, inputs: Any, output: Any) -> None:
        outputs.append(output)

    return keep


def _is_many(output: Any) -> bool:
    return isinstance(output, tuple)


def _first(output: Any) -> torch.Tensor:
    """What a layer or an attention module gives on; some give more beside it."""
    found: torch.Tensor = output[0] if _is_many(output) else output
    return found


@contextmanager
def _giving(module: Any, output: Any) -> Iterator[None]:
    """Within, a module computes nothing and gives `output`."""

    def forward(*arguments: Any, **options: Any) -> Any:
        return output

    # Not by attribute, which modules of the bridge pass on to those that they stand for.
    attributes = module.__dict__
    own = attributes.get("forward")
    attributes["forward"] = forward
    try:
        yield
    finally:
        del attributes["forward"]
        if own is not None:
            attributes["forward"] = own
