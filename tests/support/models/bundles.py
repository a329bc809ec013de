"""Bundles written from a seed as TransformerLens 2.4.1 writes them, and plain forwards of them.

The forwards follow the published facts and share no code with headswap: they are the oracle.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.support.running import REFERENCE

TOKENIZER = REFERENCE / "standard" / "tokenizer.json"  # its 325 tokens hold the five markers


@dataclass(frozen=True)
class Sizes:
    """The released pair's sizes are the defaults."""

    n_layers: int = 6
    n_heads: int = 8
    d_model: int = 512
    d_head: int = 64
    d_mlp: int = 1408
    d_vocab: int = 8197
    n_ctx: int = 512


SMALL = Sizes(n_layers=2, n_heads=4, d_model=32, d_head=8, d_mlp=48, d_vocab=325, n_ctx=128)


def config_of(sizes: Sizes, **family: object) -> dict[str, Any]:
    """A config with the entries that real ones carry, NumPy scalars and all."""
    return {
        **vars(sizes),
        "model_name": "custom",
        "d_vocab_out": sizes.d_vocab,
        "use_attn_scale": True,
        "attn_scale": np.sqrt(np.float64(sizes.d_head)),
        "initializer_range": np.float64(0.8) / np.sqrt(np.float64(sizes.d_model)),
        "use_local_attn": False,
        "window_size": None,
        "attn_types": None,
        "device": "cpu",
        "attention_dir": "causal",
        "attn_only": False,
        "seed": 0,
        "scale_attn_by_inverse_layer_idx": False,
        "parallel_attn_mlp": False,
        "dtype": "torch.float32",
        "n_key_value_heads": None,
        "num_experts": None,
        "use_normalization_before_and_after": False,
        "attn_scores_soft_cap": -1.0,
        "output_logits_soft_cap": -1.0,
        **family,
    }


LLAMA: dict[str, object] = {
    "act_fn": "silu",
    "eps": 1e-6,
    "normalization_type": "RMS",
    "positional_embedding_type": "rotary",
    "rotary_base": 10_000,
    "rotary_adjacent_pairs": False,
    "gated_mlp": True,
    "final_rms": False,
}
GPT2: dict[str, object] = {
    "act_fn": "gelu_new",
    "eps": 1e-5,
    "normalization_type": "LN",
    "positional_embedding_type": "standard",
    "rotary_dim": None,
    "gated_mlp": False,
}


def llama_state(sizes: Sizes, seed: int) -> dict[str, Tensor]:
    """Weights of a Llama-like model with tied embeddings, its zero biases and its buffers."""
    draw = _drawer(seed)
    embedding = draw(sizes.d_vocab, sizes.d_model, scale=1.0)
    state = {
        "embed.W_E": embedding,
        "unembed.W_U": embedding.T,
        "unembed.b_U": torch.zeros(sizes.d_vocab),
        "ln_final.w": 1 + draw(sizes.d_model, scale=0.1),
    }
    cos, sin = rotary_tables(sizes)
    for layer in range(sizes.n_layers):
        block = _attention_state(sizes, draw, biases=False)
        block |= {
            "attn.rotary_cos": cos,
            "attn.rotary_sin": sin,
            "ln1.w": 1 + draw(sizes.d_model, scale=0.1),
            "ln2.w": 1 + draw(sizes.d_model, scale=0.1),
            "mlp.W_gate": draw(sizes.d_model, sizes.d_mlp),
            "mlp.W_in": draw(sizes.d_model, sizes.d_mlp),
            "mlp.W_out": draw(sizes.d_mlp, sizes.d_model),
            "mlp.b_in": torch.zeros(sizes.d_mlp),
            "mlp.b_out": torch.zeros(sizes.d_model),
        }
        state |= {f"blocks.{layer}.{name}": tensor for name, tensor in block.items()}
    return state


def gpt2_state(sizes: Sizes, seed: int, *, is_folded: bool = False) -> dict[str, Tensor]:
    """Weights of a GPT-2-like model; folded, its norms have none and the unembedding a bias."""
    draw = _drawer(seed)
    state = {
        "embed.W_E": draw(sizes.d_vocab, sizes.d_model, scale=1.0),
        "pos_embed.W_pos": draw(sizes.n_ctx, sizes.d_model, scale=0.5),
        "unembed.W_U": draw(sizes.d_model, sizes.d_vocab),
        "unembed.b_U": draw(sizes.d_vocab, scale=float(is_folded)),
    }
    norms = ["ln_final"]
    for layer in range(sizes.n_layers):
        block = _attention_state(sizes, draw, biases=True)
        block |= {
            "mlp.W_in": draw(sizes.d_model, sizes.d_mlp),
            "mlp.W_out": draw(sizes.d_mlp, sizes.d_model),
            "mlp.b_in": draw(sizes.d_mlp, scale=0.2),
            "mlp.b_out": draw(sizes.d_model, scale=0.2),
        }
        state |= {f"blocks.{layer}.{name}": tensor for name, tensor in block.items()}
        norms += [f"blocks.{layer}.ln1", f"blocks.{layer}.ln2"]
    if not is_folded:
        for name in norms:
            state[f"{name}.w"] = 1 + draw(sizes.d_model, scale=0.1)
            state[f"{name}.b"] = draw(sizes.d_model, scale=0.1)
    return state


def write_bundle(folder: Path, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> Path:
    """A folder with the bundle and the reference tokenizer; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"config": dict(config), "model_state_dict": dict(state)}
    torch.save(content, folder / "hooked_transformer.pt")
    shutil.copy(TOKENIZER, folder / "tokenizer.json")
    return folder


def llama_patterns(
    sizes: Sizes,
    state: Mapping[str, Tensor],
    ids: Sequence[int],
    tables: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """The attention of one prompt, `[layer, head, query, key]`; tables: rotary ones, if given."""
    cos, sin = (table[: len(ids)] for table in tables or rotary_tables(sizes))

    def norm(x: Tensor, weight: Tensor) -> Tensor:
        return x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * weight

    def rotate(x: Tensor) -> Tensor:
        half = x.shape[-1] // 2
        turned = torch.cat((-x[..., half:], x[..., :half]), -1)
        return x * cos + turned * sin

    residual, patterns = state["embed.W_E"][list(ids)], []
    for layer in range(sizes.n_layers):
        block = _block(state, layer)
        normed = norm(residual, block["ln1.w"])
        query, key, value = (
            torch.einsum("pm,hmd->hpd", normed, block[f"attn.W_{letter}"]) for letter in "QKV"
        )
        pattern = _causal_softmax(rotate(query) @ rotate(key).mT / math.sqrt(sizes.d_head))
        patterns.append(pattern)
        residual = residual + torch.einsum("hpd,hdm->pm", pattern @ value, block["attn.W_O"])
        normed = norm(residual, block["ln2.w"])
        gate = normed @ block["mlp.W_gate"]
        inner = gate * torch.sigmoid(gate) * (normed @ block["mlp.W_in"])
        residual = residual + inner @ block["mlp.W_out"]
    return torch.stack(patterns)


def gpt2_patterns(sizes: Sizes, state: Mapping[str, Tensor], ids: Sequence[int]) -> Tensor:
    """The attention of one prompt, `[layer, head, query, key]`."""

    def norm(x: Tensor, block: Mapping[str, Tensor], name: str) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
        return scaled * block[f"{name}.w"] + block[f"{name}.b"] if f"{name}.w" in block else scaled

    residual = state["embed.W_E"][list(ids)] + state["pos_embed.W_pos"][: len(ids)]
    patterns = []
    for layer in range(sizes.n_layers):
        block = _block(state, layer)
        normed = norm(residual, block, "ln1")
        query, key, value = (
            torch.einsum("pm,hmd->hpd", normed, block[f"attn.W_{letter}"])
            + block[f"attn.b_{letter}"][:, None]
            for letter in "QKV"
        )
        pattern = _causal_softmax(query @ key.mT / math.sqrt(sizes.d_head))
        patterns.append(pattern)
        mixed = torch.einsum("hpd,hdm->pm", pattern @ value, block["attn.W_O"])
        residual = residual + mixed + block["attn.b_O"]
        x = norm(residual, block, "ln2") @ block["mlp.W_in"] + block["mlp.b_in"]
        inner = 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
        residual = residual + inner @ block["mlp.W_out"] + block["mlp.b_out"]
    return torch.stack(patterns)


def rotary_tables(sizes: Sizes) -> tuple[Tensor, Tensor]:
    """Cosines and sines `[position, d_head]`, both halves alike, base 10,000."""
    dimensions = torch.arange(sizes.d_head // 2, dtype=torch.float64)
    frequencies = 10_000 ** (-2 * dimensions / sizes.d_head)
    angles = torch.arange(sizes.n_ctx, dtype=torch.float64)[:, None] * frequencies
    angles = torch.cat((angles, angles), 1)
    return angles.cos().float(), angles.sin().float()


Drawer = Callable[..., Tensor]


def _drawer(seed: int) -> Drawer:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int, scale: float | None = None) -> Tensor:
        """Normal; without a scale, so that a product keeps the size of what it is given."""
        fan_in = shape[-2] if len(shape) > 1 else shape[0]
        spread = fan_in**-0.5 if scale is None else scale
        return torch.randn(shape, generator=generator) * spread

    return draw


def _attention_state(sizes: Sizes, draw: Drawer, *, biases: bool) -> dict[str, Tensor]:
    n_heads, d_model, d_head = sizes.n_heads, sizes.d_model, sizes.d_head
    bias = 0.2 if biases else 0.0
    return {
        **{f"attn.W_{letter}": draw(n_heads, d_model, d_head) for letter in "QKV"},
        **{f"attn.b_{letter}": draw(n_heads, d_head, scale=bias) for letter in "QKV"},
        "attn.W_O": draw(n_heads, d_head, d_model),
        "attn.b_O": draw(d_model, scale=bias),
        "attn.mask": torch.ones(sizes.n_ctx, sizes.n_ctx, dtype=torch.bool).tril(),
        "attn.IGNORE": torch.tensor(-torch.inf),
    }


def _block(state: Mapping[str, Tensor], layer: int) -> dict[str, Tensor]:
    start = f"blocks.{layer}."
    return {name.removeprefix(start): state[name] for name in state if name.startswith(start)}


def _causal_softmax(scores: Tensor) -> Tensor:
    future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return scores.masked_fill(future, -torch.inf).softmax(-1)
