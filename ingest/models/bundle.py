"""The InterpGPT bundle: `hooked_transformer.pt`, a TransformerLens 2.4 state dict with its config.

The architecture is a Llama, so the weights go into `transformers.LlamaForCausalLM`. Two pieces of
arithmetic differ between the libraries, and on large weights the difference grows with depth (up
to 2e-4 in the third layer of the reference bundles): TransformerLens 2 divides by the root mean
square where transformers multiplies by its inverse, and its rotary tables were computed in float32.
Both are kept as the bundle has them; patterns then equal TransformerLens 2.4.1's within 2e-6.
"""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRMSNorm, LlamaRotaryEmbedding

from ingest.dataset.errors import InputError

# What real bundles pickle beside tensors: NumPy scalars (attn_scale, initializer_range).
_SCALAR = np.float64(0).__reduce__()[0]
_ALLOWED: list[Any] = [
    (_SCALAR, "numpy.core.multiarray.scalar"),
    _SCALAR,
    np.dtype,
    np.dtypes.Float64DType,
    np.dtypes.Float32DType,
    np.dtypes.Int64DType,
]

# What a bundle's config must say to be a Llama; a key that is absent counts as the value here.
_LLAMA_CONFIG: dict[str, Any] = {
    "act_fn": "silu",
    "gated_mlp": True,
    "normalization_type": "RMS",
    "positional_embedding_type": "rotary",
    "rotary_adjacent_pairs": False,
    "attention_dir": "causal",
    "use_attn_scale": True,
    "scale_attn_by_inverse_layer_idx": False,
    "use_local_attn": False,
    "attn_only": False,
    "parallel_attn_mlp": False,
    "num_experts": None,
    "n_key_value_heads": None,
    "post_embedding_ln": False,
    "use_normalization_before_and_after": False,
    "attn_scores_soft_cap": -1.0,
    "output_logits_soft_cap": -1.0,
    "relative_attention_num_buckets": None,
    "use_NTK_by_parts_rope": False,
}


def read_bundle(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Reads a bundle without running anything that it carries.

    Returns: its config and its state dict, on the CPU.
    Raises: InputError where the file is damaged, needs a type that is not allowed, or lacks a part.
    """
    try:
        with torch.serialization.safe_globals(_ALLOWED):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} needs a type that headswap does not load: {_refused_type(error)}",
            hint="a bundle is {'config': dict, 'model_state_dict': tensors}; nothing in it was run",
        ) from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path} is no readable bundle: {reason}",
            hint="the file may be damaged or incomplete; get it again",
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no dictionary with 'config' and 'model_state_dict'")
    parts = {name: content.get(name) for name in ("config", "model_state_dict")}
    for name, part in parts.items():
        if not isinstance(part, Mapping):
            raise InputError(f"{path} has no {name!r}, as a TransformerLens 2 bundle would")
    config = {str(key): _plain(value) for key, value in content["config"].items()}
    state = dict(content["model_state_dict"])
    for name, tensor in state.items():
        if not isinstance(tensor, torch.Tensor):
            raise InputError(f"{path}: {name} in 'model_state_dict' is no tensor")
    return config, state


def llama_from_bundle(
    config: Mapping[str, Any], state: Mapping[str, torch.Tensor], where: Path
) -> LlamaForCausalLM:
    """Builds the bundle's model in float32 with eager attention.

    Raises: InputError where the config is not that of a Llama, or contradicts the weights.
    """
    for key, wanted in _LLAMA_CONFIG.items():
        if config.get(key, wanted) != wanted:
            raise InputError(
                f"{where}: {key} = {config[key]!r} is not supported (a Llama has {wanted!r})",
                hint="headswap maps Llama-like bundles only and guesses no other",
            )
    llama_config = _llama_config(config, where)
    weights = _llama_weights(state, llama_config, where)
    with torch.device("meta"):
        model = LlamaForCausalLM(llama_config)
    model.load_state_dict(weights, strict=True, assign=True)
    model.model.rotary_emb = _rotary(state, llama_config)
    _divide_in_norms(model)
    return model


class DividingRMSNorm(LlamaRMSNorm):  # type: ignore[misc]
    """RMSNorm in TransformerLens 2's order of operations: x / sqrt(mean(x^2) + eps) * weight."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """hidden_states: `[..., d_model]`; returns the same shape and dtype."""
        square = hidden_states.float().pow(2).mean(-1, keepdim=True)
        normalized = hidden_states / (square + self.variance_epsilon).sqrt()
        result: torch.Tensor = (normalized * self.weight).to(hidden_states.dtype)
        return result


class StoredRotaryEmbedding(nn.Module):
    """The rotary tables that a bundle carries, `[position, d_head]` each, read by position."""

    cos: torch.Tensor
    sin: torch.Tensor

    def __init__(self, cos: torch.Tensor, sin: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(
        self, x: torch.Tensor, position_ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """position_ids: `[batch, position]`; returns cos and sin `[batch, position, d_head]`."""
        return self.cos[position_ids].to(x.dtype), self.sin[position_ids].to(x.dtype)


def _llama_config(config: Mapping[str, Any], where: Path) -> LlamaConfig:
    def whole(name: str) -> int:
        value = config.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**31:
            raise InputError(
                f"{where}: {name} = {value!r} in the config is no positive whole number"
            )
        return value

    d_head, n_heads = whole("d_head"), whole("n_heads")
    scale = config.get("attn_scale", d_head**0.5)
    if abs(float(scale) - d_head**0.5) > 1e-6:
        raise InputError(f"{where}: attn_scale = {scale} is not the root of d_head = {d_head}")
    if config.get("rotary_dim", d_head) != d_head:
        raise InputError(f"{where}: rotary_dim = {config['rotary_dim']} is not d_head = {d_head}")
    return LlamaConfig(
        vocab_size=whole("d_vocab"),
        hidden_size=whole("d_model"),
        intermediate_size=whole("d_mlp"),
        num_hidden_layers=whole("n_layers"),
        num_attention_heads=n_heads,
        num_key_value_heads=n_heads,
        head_dim=d_head,
        hidden_act="silu",
        max_position_embeddings=whole("n_ctx"),
        rms_norm_eps=float(config.get("eps", 1e-6)),
        rope_parameters={"rope_type": "default", "rope_theta": float(config["rotary_base"])},
        attention_bias=False,
        mlp_bias=False,
        tie_word_embeddings=False,
        attn_implementation="eager",
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )


def _llama_weights(
    state: Mapping[str, torch.Tensor], config: LlamaConfig, where: Path
) -> dict[str, torch.Tensor]:
    """TransformerLens's weights under transformers' names, float32 and contiguous."""
    used: set[str] = set()

    def take(name: str, *shape: int) -> torch.Tensor:
        tensor = state.get(name)
        if tensor is None:
            raise InputError(f"{where}: the weights lack {name}")
        if tuple(tensor.shape) != shape:
            raise InputError(
                f"{where}: {name} has the shape {list(tensor.shape)}, "
                f"but the config makes it {list(shape)}"
            )
        if not tensor.isfinite().all():
            raise InputError(f"{where}: {name} holds values that are not finite")
        used.add(name)
        return tensor.float()

    d_model, d_mlp, d_head = config.hidden_size, config.intermediate_size, config.head_dim
    n_heads, d_vocab = config.num_attention_heads, config.vocab_size
    weights = {
        "model.embed_tokens.weight": take("embed.W_E", d_vocab, d_model),
        "model.norm.weight": take("ln_final.w", d_model),
        "lm_head.weight": take("unembed.W_U", d_model, d_vocab).T,
    }
    for layer in range(config.num_hidden_layers):
        theirs, ours = f"blocks.{layer}", f"model.layers.{layer}"
        for letter in "QKV":
            heads = take(f"{theirs}.attn.W_{letter}", n_heads, d_model, d_head)
            projection = heads.permute(0, 2, 1).reshape(n_heads * d_head, d_model)
            weights[f"{ours}.self_attn.{letter.lower()}_proj.weight"] = projection
        output = take(f"{theirs}.attn.W_O", n_heads, d_head, d_model)
        weights |= {
            f"{ours}.self_attn.o_proj.weight": output.reshape(n_heads * d_head, d_model).T,
            f"{ours}.mlp.gate_proj.weight": take(f"{theirs}.mlp.W_gate", d_model, d_mlp).T,
            f"{ours}.mlp.up_proj.weight": take(f"{theirs}.mlp.W_in", d_model, d_mlp).T,
            f"{ours}.mlp.down_proj.weight": take(f"{theirs}.mlp.W_out", d_mlp, d_model).T,
            f"{ours}.input_layernorm.weight": take(f"{theirs}.ln1.w", d_model),
            f"{ours}.post_attention_layernorm.weight": take(f"{theirs}.ln2.w", d_model),
        }
    _check_left_over(state, used, where)
    return {name: tensor.contiguous() for name, tensor in weights.items()}


def _check_left_over(state: Mapping[str, torch.Tensor], used: set[str], where: Path) -> None:
    """Whatever was not mapped must be a buffer, or a bias of zero."""
    for name, tensor in state.items():
        if name in used or name.rsplit(".", 1)[-1] in {
            "mask",
            "IGNORE",
            "rotary_sin",
            "rotary_cos",
        }:
            continue
        is_bias = name.rsplit(".", 1)[-1].startswith("b_")
        if not is_bias or tensor.count_nonzero() > 0:
            raise InputError(
                f"{where}: {name} has no place in a Llama",
                hint="headswap maps Llama-like bundles only and guesses no other",
            )


def _rotary(state: Mapping[str, torch.Tensor], config: LlamaConfig) -> nn.Module:
    cos, sin = (state.get(f"blocks.0.attn.rotary_{name}") for name in ("cos", "sin"))
    shape = (config.max_position_embeddings, config.head_dim)
    if cos is None or sin is None or tuple(cos.shape) != shape or tuple(sin.shape) != shape:
        computed: nn.Module = LlamaRotaryEmbedding(config)
        return computed
    return StoredRotaryEmbedding(cos.float(), sin.float())


def _divide_in_norms(model: LlamaForCausalLM) -> None:
    for module in model.modules():
        if isinstance(module, LlamaRMSNorm):
            module.__class__ = DividingRMSNorm


def _plain(value: Any) -> Any:
    """A config value as JSON can hold it."""
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    return str(value)


def _refused_type(error: Exception) -> str:
    """The type's name out of torch's message: `... Unsupported global: GLOBAL os.system ...`."""
    words = str(error).split()
    names = [after for word, after in itertools.pairwise(words) if word == "GLOBAL"]
    return names[0] if names else "one that it does not name"
