"""The demo models' files: the released format, written from the network and read back into it.

`hooked_transformer.pt` is ``{"config": dict, "model_state_dict": dict}`` as TransformerLens 2.4.1
names things. The weights are float16 and the tied matrix is stored once; buffers that follow from
the config (causal masks, rotary tables) are left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from ingest.demo.network import Block, Network, Shape
from ingest.kernel.errors import InputError

MODELS_FOLDER = Path(__file__).with_name("models")
WEIGHTS_NAME, TOKENIZER_NAME = "hooked_transformer.pt", "tokenizer.json"
STORED_DTYPE = torch.float16


def config_of(network: Network, seed: int) -> dict[str, Any]:
    """The network's config under TransformerLens 2.4.1's names, plain Python values only."""
    shape = network.shape
    return {
        "n_layers": shape.n_layers,
        "d_model": shape.d_model,
        "n_ctx": shape.n_ctx,
        "d_head": shape.d_head,
        "model_name": "custom",
        "n_heads": shape.n_heads,
        "d_mlp": shape.d_mlp,
        "act_fn": "silu",
        "d_vocab": shape.d_vocab,
        "eps": shape.eps,
        "use_attn_scale": True,
        "attn_scale": shape.d_head**0.5,
        "use_local_attn": False,
        "init_mode": "gpt2",
        "normalization_type": "RMS",
        "device": "cpu",
        "n_devices": 1,
        "attention_dir": "causal",
        "attn_only": False,
        "seed": seed,
        "init_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "positional_embedding_type": "rotary",
        "final_rms": False,
        "d_vocab_out": shape.d_vocab,
        "parallel_attn_mlp": False,
        "rotary_dim": shape.d_head,
        "n_params": sum(parameter.numel() for parameter in network.parameters()),
        "gated_mlp": True,
        "default_prepend_bos": False,
        "dtype": "torch.float32",
        "rotary_base": shape.rotary_base,
        "rotary_adjacent_pairs": False,
        "tie_word_embeddings": True,
        "post_embedding_ln": False,
        "use_normalization_before_and_after": False,
        "attn_scores_soft_cap": -1.0,
        "output_logits_soft_cap": -1.0,
    }


def state_of(network: Network) -> dict[str, Tensor]:
    """The weights under TransformerLens 2.4.1's names and shapes, biases zero, float16."""
    shape = network.shape
    embedding = network.embedding.weight.detach().to(STORED_DTYPE)
    state = {"embed.W_E": embedding, "unembed.W_U": embedding.T}
    state["unembed.b_U"] = torch.zeros(shape.d_vocab, dtype=STORED_DTYPE)
    state["ln_final.w"] = network.final_norm.weight
    for layer, block in enumerate(network.blocks):
        assert isinstance(block, Block)
        for name, tensor in _block_state(block, shape).items():
            state[f"blocks.{layer}.{name}"] = tensor
    # clones, but for the tied matrix, so that no tensor drags a larger storage along
    return {
        name: tensor if tensor.dtype == STORED_DTYPE else tensor.detach().to(STORED_DTYPE).clone()
        for name, tensor in state.items()
    }


def _block_state(block: Block, shape: Shape) -> dict[str, Tensor]:
    """One layer's tensors; query, key and value [head, d_model, d_head], output transposed."""
    joined = block.attention.query_key_value.weight.view(3, shape.n_heads, shape.d_head, -1)
    query, key, value = joined.transpose(-1, -2)  # each [head, d_model, d_head]
    gate, value_in = block.mlp.gate_in.weight.T.chunk(2, -1)  # each [d_model, d_mlp]
    per_head = torch.zeros(shape.n_heads, shape.d_head)
    return {
        "ln1.w": block.attention_norm.weight,
        "ln2.w": block.mlp_norm.weight,
        "attn.W_Q": query,
        "attn.W_K": key,
        "attn.W_V": value,
        "attn.W_O": block.attention.output.weight.T.reshape(shape.n_heads, shape.d_head, -1),
        "attn.b_Q": per_head,
        "attn.b_K": per_head,
        "attn.b_V": per_head,
        "attn.b_O": torch.zeros(shape.d_model),
        "mlp.W_gate": gate,
        "mlp.W_in": value_in,
        "mlp.W_out": block.mlp.output.weight.T,
        "mlp.b_in": torch.zeros(shape.d_mlp),
        "mlp.b_out": torch.zeros(shape.d_model),
    }


def save_bundle(folder: Path, network: Network, tokenizer: Tokenizer, seed: int) -> None:
    """Writes the model's two files into the folder; the weights get their name when complete."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / TOKENIZER_NAME))
    bundle = {"config": config_of(network, seed), "model_state_dict": state_of(network)}
    partial = folder / f"{WEIGHTS_NAME}.partial"
    torch.save(bundle, partial)
    partial.replace(folder / WEIGHTS_NAME)


def load_bundle(folder: Path) -> tuple[Network, Tokenizer]:
    """The network, float32 and in evaluation mode, and its tokenizer, read from a folder.

    Raises: InputError where the folder lacks one of the two files.
    """
    for name in (WEIGHTS_NAME, TOKENIZER_NAME):
        if not (folder / name).is_file():
            raise InputError(
                f"{folder} has no {name}", hint="train it: python -m ingest.demo.train"
            )
    bundle = torch.load(folder / WEIGHTS_NAME, map_location="cpu", weights_only=True)
    network = network_from(bundle["config"], bundle["model_state_dict"])
    return network, Tokenizer.from_file(str(folder / TOKENIZER_NAME))


def network_from(config: dict[str, Any], state: dict[str, Tensor]) -> Network:
    """The inverse of `config_of` and `state_of`; the unembedding is taken to be tied."""
    sizes = ("d_vocab", "n_layers", "n_heads", "d_model", "d_head", "d_mlp", "n_ctx", "eps")
    shape = Shape(**{name: config[name] for name in sizes}, rotary_base=config["rotary_base"])
    network = Network(shape)
    weights = {"embedding.weight": state["embed.W_E"], "final_norm.weight": state["ln_final.w"]}
    for layer in range(shape.n_layers):
        for name, tensor in _block_weights(state, f"blocks.{layer}.").items():
            weights[f"blocks.{layer}.{name}"] = tensor
    network.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    return network.eval()


def _block_weights(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The inverse of `_block_state`."""
    joined = torch.stack([state[f"{prefix}attn.W_{kind}"] for kind in "QKV"])
    gate_in = torch.cat([state[f"{prefix}mlp.W_gate"], state[f"{prefix}mlp.W_in"]], -1)
    return {
        "attention_norm.weight": state[f"{prefix}ln1.w"],
        "mlp_norm.weight": state[f"{prefix}ln2.w"],
        "attention.query_key_value.weight": joined.transpose(-1, -2).flatten(0, 2),
        "attention.output.weight": state[f"{prefix}attn.W_O"].flatten(0, 1).T,
        "mlp.gate_in.weight": gate_in.T,
        "mlp.output.weight": state[f"{prefix}mlp.W_out"].T,
    }
