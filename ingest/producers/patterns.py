"""Attention patterns out of a model: one forward a batch, layer by layer through hooks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ingest.kernel.errors import HeadswapError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ingest.models.loaded import LoadedModel

# Given a layer's index and its patterns [prompt, head, query, key].
OnLayer = Callable[[int, torch.Tensor], None]


class _LastPatternSeenError(Exception):
    """Ends a forward: what follows the last layer's pattern has no part in attention rows."""


def capture_patterns(
    model: LoadedModel,
    prompts: Sequence[Sequence[int] | NDArray[np.int32]],
    width: int,
    on_layer: OnLayer,
) -> None:
    """Runs prompts through a model together and hands over each layer's patterns.

    prompts: token ids, at most `width` each; they are padded on the right, and where the model is
    not causal the padding is masked. In a causal model no query sees the padding behind it.
    on_layer is called once a layer, in order; the values of padded positions mean nothing.

    Raises: HeadswapError where a layer gave no pattern.
    """
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    mask = torch.zeros(len(prompts), width, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = torch.as_tensor(prompt)
        mask[row, : len(prompt)] = 1
    ids, mask = ids.to(model.device), mask.to(model.device)
    seen: list[int] = []

    def hook_for(layer: int) -> tuple[str, Callable[..., None]]:
        def receive(pattern: torch.Tensor, hook: Any) -> None:
            on_layer(layer, pattern)
            seen.append(layer)
            if layer == model.n_layers - 1:
                raise _LastPatternSeenError

        return f"blocks.{layer}.attn.hook_pattern", receive

    hooks = [hook_for(layer) for layer in range(model.n_layers)]
    arguments = {} if model.is_causal else {"attention_mask": mask}
    with torch.inference_mode(), contextlib.suppress(_LastPatternSeenError):
        model.bridge.run_with_hooks(ids, fwd_hooks=hooks, return_type=None, **arguments)
    if seen != list(range(model.n_layers)):
        raise HeadswapError(
            f"model {model.name!r} gave patterns for the layers {seen} "
            f"instead of all {model.n_layers}",
            hint="its architecture does not expose attention patterns in every layer",
        )


def stored_cells(pattern: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """The cells of a pattern tensor that are stored, one row a head, without a copy of the rest.

    pattern: [prompt, head, query, key]. cells: [row], as `Triangle.flat_index` gives them.
    Returns: [head, row], in the pattern's dtype.
    """
    n_prompts, n_heads, width, _ = pattern.shape
    a_head = width * width
    # Row h begins at head h of the first prompt and goes on to that of the last: rows overlap.
    rows = (n_heads, ((n_prompts - 1) * n_heads + 1) * a_head)
    by_head = pattern.reshape(-1).as_strided(rows, (a_head, 1))
    return by_head.gather(1, cells.expand(n_heads, -1))
