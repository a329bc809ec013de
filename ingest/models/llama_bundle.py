"""A Llama-like bundle, as InterpGPT's: its weights in `transformers.LlamaForCausalLM`.

Two pieces of arithmetic differ between the libraries, and on large weights the difference grows
with depth (up to 2e-4 in the third layer of the reference bundles): TransformerLens 2 divides by
the root mean square where transformers multiplies by its inverse, and its rotary tables were
computed in float32. Both are kept as the bundle has them; patterns then equal TransformerLens
2.4.1's within 2e-6 on a processor that rounds as the reference's did, and no worse than the same
arithmetic in plain torch on another (1.2e-4 on an AMD EPYC).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRMSNorm, LlamaRotaryEmbedding

from ingest.kernel.errors import InputError
from ingest.models.bundle_file import Weights, check_config, check_scale, tied_or_own, whole_number

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
_BUFFERS = frozenset({"mask", "IGNORE", "rotary_sin", "rotary_cos"})


def llama_from_bundle(
    config: Mapping[str, Any], state: Mapping[str, torch.Tensor], where: Path
) -> LlamaForCausalLM:
    """Builds the bundle's model in float32 with eager attention.

    Raises: InputError where the config is not that of a Llama, or contradicts the weights.
    """
    check_config(config, _LLAMA_CONFIG, "Llama", where)
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
        return whole_number(config, name, where)

    check_scale(config, where)
    d_head, n_heads = whole("d_head"), whole("n_heads")
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
    tensors = Weights(state, where)
    take = tensors.take
    d_model, d_mlp, d_head = config.hidden_size, config.intermediate_size, config.head_dim
    n_heads, d_vocab = config.num_attention_heads, config.vocab_size
    embedding = take("embed.W_E", d_vocab, d_model)
    weights = {
        "model.embed_tokens.weight": embedding,
        "model.norm.weight": take("ln_final.w", d_model),
        "lm_head.weight": tied_or_own(take("unembed.W_U", d_model, d_vocab), embedding),
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
    tensors.check_all_used(_BUFFERS, "Llama")
    return {name: tensor.contiguous() for name, tensor in weights.items()}


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
