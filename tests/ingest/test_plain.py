"""Models without the bridge around their modules compute what they computed, and get it back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformer_lens.model_bridge.generalized_components.base import GeneralizedComponent

from ingest.models.plain import plain_network
from tests.support.models.loading import loaded
from tests.support.running import REFERENCE

TEXT = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
SIZES = {"vocab_size": 325, "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32}
WIDE = {"initializer_range": 0.3, "max_position_embeddings": 64, "intermediate_size": 48}
# Beside those of test_decoding: positions as a bias, windows, experts, one key for all heads,
# query, key and value in one matrix, attention and MLP side by side.
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "Bloom": ("Bloom", {**TEXT, "vocab_size": 325, "n_layer": 2, "n_head": 4, "seq_length": 64}),
    "Falcon": ("Falcon", {**SIZES, **TEXT, "multi_query": True, "max_position_embeddings": 64}),
    "Gemma 2": ("Gemma2", {**SIZES, **TEXT, **WIDE, "num_key_value_heads": 2, "head_dim": 8}),
    "GPT-J": (
        "GPTJ",
        {**TEXT, "vocab_size": 325, "n_layer": 2, "n_head": 4, "n_embd": 32, "rotary_dim": 4},
    ),
    "Mixtral": (
        "Mixtral",
        {**SIZES, **TEXT, **WIDE, "num_key_value_heads": 2, "num_local_experts": 4},
    ),
    "MPT": (
        "Mpt",
        {**TEXT, "vocab_size": 325, "n_layers": 2, "n_heads": 4, "d_model": 32, "max_seq_len": 64},
    ),
    "Phi 3": ("Phi3", {**SIZES, **TEXT, **WIDE, "original_max_position_embeddings": 64}),
}


def bridged_in(network: torch.nn.Module) -> int:
    return sum(isinstance(module, GeneralizedComponent) for module in network.modules())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_plain_modules_compute_the_same_and_the_bridge_returns(name: str, tmp_path: Path) -> None:
    kind, sizes = ARCHITECTURES[name]
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**sizes)
    getattr(transformers, f"{kind}ForCausalLM")(config).eval().save_pretrained(tmp_path)
    shutil.copy(REFERENCE / "standard" / "tokenizer.json", tmp_path)
    model = loaded(str(tmp_path))
    ids = torch.arange(5, 25)[None]

    def forward() -> Any:
        with torch.inference_mode():
            return model.bridge.original_model(input_ids=ids).logits

    before, n_bridged = forward(), bridged_in(model.bridge.original_model)
    assert n_bridged > 10
    with plain_network(model) as network:
        assert bridged_in(network) == 0
        torch.testing.assert_close(forward(), before, rtol=1e-5, atol=1e-5)
    assert bridged_in(model.bridge.original_model) == n_bridged
    assert torch.equal(forward(), before)
