"""A GPT-2-like bundle: its weights in `transformers.GPT2LMHeadModel`.

TransformerLens may have folded the layer norms into what reads them (`LNPre`); the norms then have
no weights of their own, and the unembedding has a bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from ingest.kernel.errors import InputError
from ingest.models.bundle_file import Weights, check_config, check_scale, tied_or_own, whole_number

# What a bundle's config must say to be a GPT-2; a key that is absent counts as the value here.
_GPT2_CONFIG: dict[str, Any] = {
    "gated_mlp": False,
    "positional_embedding_type": "standard",
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
}
_ACTIVATIONS = ("gelu_new", "gelu", "gelu_fast", "relu", "silu")
_NORMS = ("LN", "LNPre")
_BUFFERS = frozenset({"mask", "IGNORE"})


def gpt2_from_bundle(
    config: Mapping[str, Any], state: Mapping[str, torch.Tensor], where: Path
) -> GPT2LMHeadModel:
    """Builds the bundle's model in float32 with eager attention.

    Raises: InputError where the config is not that of a GPT-2, or contradicts the weights.
    """
    check_config(config, _GPT2_CONFIG, "GPT-2", where)
    for key, supported in (("act_fn", _ACTIVATIONS), ("normalization_type", _NORMS)):
        if config.get(key) not in supported:
            raise InputError(
                f"{where}: {key} = {config.get(key)!r} is not supported",
                hint=f"a GPT-2 has one of {', '.join(supported)}",
            )
    gpt2_config = _gpt2_config(config, where)
    tensors = Weights(state, where)
    weights = _gpt2_weights(tensors, gpt2_config)
    with torch.device("meta"):
        model = GPT2LMHeadModel(gpt2_config)
        if "lm_head.bias" in weights:
            model.lm_head = nn.Linear(gpt2_config.n_embd, gpt2_config.vocab_size)
    model.load_state_dict(weights, strict=True, assign=True)
    tensors.check_all_used(_BUFFERS, "GPT-2")
    return model


def _gpt2_config(config: Mapping[str, Any], where: Path) -> GPT2Config:
    def whole(name: str) -> int:
        return whole_number(config, name, where)

    check_scale(config, where)
    d_model, n_heads, d_head = whole("d_model"), whole("n_heads"), whole("d_head")
    if n_heads * d_head != d_model:
        raise InputError(
            f"{where}: {n_heads} heads of d_head = {d_head} do not make d_model = {d_model}, "
            "as a GPT-2's do"
        )
    return GPT2Config(
        vocab_size=whole("d_vocab"),
        n_positions=whole("n_ctx"),
        n_embd=d_model,
        n_layer=whole("n_layers"),
        n_head=n_heads,
        n_inner=whole("d_mlp"),
        activation_function=config["act_fn"],
        layer_norm_epsilon=float(config.get("eps", 1e-5)),
        tie_word_embeddings=False,
        attn_implementation="eager",
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )


def _gpt2_weights(tensors: Weights, config: GPT2Config) -> dict[str, torch.Tensor]:
    """TransformerLens's weights under transformers' names, float32 and contiguous."""
    take = tensors.take
    d_model, d_mlp, d_vocab = config.n_embd, config.n_inner, config.vocab_size
    n_heads, d_head = config.n_head, config.n_embd // config.n_head

    def norm(theirs: str, ours: str) -> dict[str, torch.Tensor]:
        if f"{theirs}.w" not in tensors:  # folded into what reads it
            return {f"{ours}.weight": torch.ones(d_model), f"{ours}.bias": torch.zeros(d_model)}
        return {
            f"{ours}.weight": take(f"{theirs}.w", d_model),
            f"{ours}.bias": take(f"{theirs}.b", d_model),
        }

    embedding = take("embed.W_E", d_vocab, d_model)
    weights = {
        "transformer.wte.weight": embedding,
        "transformer.wpe.weight": take("pos_embed.W_pos", config.n_positions, d_model),
        "lm_head.weight": tied_or_own(take("unembed.W_U", d_model, d_vocab), embedding),
        **norm("ln_final", "transformer.ln_f"),
    }
    if "unembed.b_U" in tensors:
        weights["lm_head.bias"] = take("unembed.b_U", d_vocab)
    for layer in range(config.n_layer):
        theirs, ours = f"blocks.{layer}", f"transformer.h.{layer}"
        joined, biases = [], []
        for letter in "QKV":
            heads = take(f"{theirs}.attn.W_{letter}", n_heads, d_model, d_head)
            joined.append(heads.transpose(0, 1).reshape(d_model, d_model))
            biases.append(take(f"{theirs}.attn.b_{letter}", n_heads, d_head).flatten())
        output = take(f"{theirs}.attn.W_O", n_heads, d_head, d_model)
        weights |= {
            f"{ours}.attn.c_attn.weight": torch.cat(joined, 1),
            f"{ours}.attn.c_attn.bias": torch.cat(biases),
            f"{ours}.attn.c_proj.weight": output.reshape(d_model, d_model),
            f"{ours}.attn.c_proj.bias": take(f"{theirs}.attn.b_O", d_model),
            f"{ours}.mlp.c_fc.weight": take(f"{theirs}.mlp.W_in", d_model, d_mlp),
            f"{ours}.mlp.c_fc.bias": take(f"{theirs}.mlp.b_in", d_mlp),
            f"{ours}.mlp.c_proj.weight": take(f"{theirs}.mlp.W_out", d_mlp, d_model),
            f"{ours}.mlp.c_proj.bias": take(f"{theirs}.mlp.b_out", d_model),
            **norm(f"{theirs}.ln1", f"{ours}.ln_1"),
            **norm(f"{theirs}.ln2", f"{ours}.ln_2"),
        }
    return {name: tensor.contiguous() for name, tensor in weights.items()}
