"""Ablations by hand: plain torch for the bundles, hooks on plain transformers for the rest."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.support.models.bundles import Sizes

# Given a layer and what its heads mix, `[head, position, d_head]`; gives what they mix instead.
Change = Callable[[int, Tensor], Tensor]


def bundle_logits(
    bundle: dict[str, Any],
    ids: Sequence[int],
    zeroed: Collection[tuple[int, int]] = (),
    dtype: torch.dtype = torch.float32,
    change: Change = lambda _, mixed: mixed,
) -> Tensor:
    """The logits `[position, token]` of a Llama-like bundle, the patterns of heads set to zero.

    dtype: of the arithmetic. change: what heads mix instead.
    """
    state: dict[str, Tensor] = {
        name: tensor.to(dtype) for name, tensor in bundle["model_state_dict"].items()
    }
    names = [field.name for field in dataclasses.fields(Sizes)]
    sizes = Sizes(**{name: bundle["config"][name] for name in names})
    cos, sin = (state[f"blocks.0.attn.rotary_{name}"][: len(ids)] for name in ("cos", "sin"))

    def norm(x: Tensor, weight: Tensor) -> Tensor:
        return x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * weight

    def rotate(x: Tensor) -> Tensor:
        half = x.shape[-1] // 2
        return x * cos + torch.cat((-x[..., half:], x[..., :half]), -1) * sin

    hidden = torch.ones(len(ids), len(ids), dtype=torch.bool).triu(1)
    residual = state["embed.W_E"][list(ids)]
    for layer in range(sizes.n_layers):

        def of(name: str, layer: int = layer) -> Tensor:
            return state[f"blocks.{layer}.{name}"]

        normed = norm(residual, of("ln1.w"))
        query, key, value = (
            torch.einsum("pm,hmd->hpd", normed, of(f"attn.W_{letter}")) for letter in "QKV"
        )
        scores = rotate(query) @ rotate(key).mT / math.sqrt(sizes.d_head)
        pattern = scores.masked_fill(hidden, -torch.inf).softmax(-1)
        for _, head in (found for found in zeroed if found[0] == layer):
            pattern[head] = 0
        mixed = change(layer, pattern @ value)
        residual = residual + torch.einsum("hpd,hdm->pm", mixed, of("attn.W_O"))
        normed = norm(residual, of("ln2.w"))
        gate = normed @ of("mlp.W_gate")
        inner = gate * torch.sigmoid(gate) * (normed @ of("mlp.W_in"))
        residual = residual + inner @ of("mlp.W_out")
    return norm(residual, state["ln_final.w"]) @ state["unembed.W_U"]


def read_bundle(folder: Path) -> dict[str, Any]:
    """A reference bundle as it was saved."""
    found: dict[str, Any] = torch.load(folder / "hooked_transformer.pt", weights_only=False)
    return found


def changed_logits(
    network: Any, outputs: Sequence[Any], ids: Sequence[int], change: Change | None = None
) -> tuple[Tensor, list[Tensor]]:
    """Logits `[position, token]` of one sequence, and what the heads of each layer mix.

    outputs: the modules of each layer that what heads mix goes into.
    """
    mixed: list[Tensor] = []
    n_heads = network.config.num_attention_heads

    def hook_for(layer: int) -> Callable[..., Any]:
        def hook(_: Any, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            heads = arguments[0][0].unflatten(-1, (n_heads, -1)).transpose(0, 1)
            mixed.append(heads.clone())
            if change is not None:
                heads = change(layer, heads.clone())
            return (heads.transpose(0, 1).flatten(1)[None],)

        return hook

    handles = [
        module.register_forward_pre_hook(hook_for(layer)) for layer, module in enumerate(outputs)
    ]
    with torch.inference_mode():
        logits = network(input_ids=torch.tensor([list(ids)])).logits[0]
    for handle in handles:
        handle.remove()
    return logits, mixed
