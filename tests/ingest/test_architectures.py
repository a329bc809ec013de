"""Architectures through `headswap ingest`, against the model's own `output_attentions`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)

from ingest.producers import attention
from ingest.producers.batches import Batch
from sql.session import Session, open_session
from tests.support.running import REFERENCE, Run, stored_patterns, token_ids

N_PROMPTS = 32
SIZES = {"vocab_size": 325, "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32}
TEXT = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
INIT = {"initializer_range": 0.2}

Build = Callable[[], Any]
ARCHITECTURES: dict[str, Build] = {
    "Llama with grouped queries": lambda: LlamaForCausalLM(
        LlamaConfig(
            **SIZES,
            **TEXT,
            **INIT,
            num_key_value_heads=2,
            intermediate_size=48,
            max_position_embeddings=128,
        )
    ),
    "GPT-2": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=325, n_layer=2, n_head=4, n_embd=32, n_positions=128, **TEXT, **INIT)
    ),
    "GPT-NeoX": lambda: GPTNeoXForCausalLM(
        GPTNeoXConfig(**SIZES, **TEXT, **INIT, intermediate_size=48, max_position_embeddings=128)
    ),
    "BERT": lambda: BertForMaskedLM(
        BertConfig(
            **SIZES, **INIT, intermediate_size=48, max_position_embeddings=128, pad_token_id=0
        )
    ),
    "BERT without a head": lambda: BertModel(
        BertConfig(
            **SIZES, **INIT, intermediate_size=48, max_position_embeddings=128, pad_token_id=0
        )
    ),
}


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tasks of 4 to 60 tokens or so."""
    words = ("water", "dishes", "the table", "clean", "wipe it down", "rest")
    records = [
        {
            "pair_id": number,
            "variant": "standard",
            "task": f"Task {number}",
            "steps": [words[(number + step) % len(words)] for step in range(1 + number % 9)],
        }
        for number in range(N_PROMPTS)
    ]
    path = tmp_path_factory.mktemp("prompts") / "prompts.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    return path


@pytest.fixture(scope="module", params=ARCHITECTURES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model built from its config and saved as Hugging Face does, with the test tokenizer."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    ARCHITECTURES[request.param]().eval().save_pretrained(folder)
    shutil.copy(REFERENCE / "standard" / "tokenizer.json", folder)
    return folder


def all_patterns(session: Session) -> list[NDArray[np.float64]]:
    return [stored_patterns(session, "mine", prompt_id) for prompt_id in range(N_PROMPTS)]


def own_attention(model: Any, prompts: Sequence[list[int]], side: str) -> list[NDArray[Any]]:
    """Each prompt's patterns out of one padded batch, `[layer, head, query, key]`."""
    width = max(map(len, prompts))
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    spans = []
    for row, prompt in enumerate(prompts):
        start = width - len(prompt) if side == "left" else 0
        spans.append(slice(start, start + len(prompt)))
        ids[row, spans[-1]] = torch.tensor(prompt)
        mask[row, spans[-1]] = 1
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.inference_mode():
        attentions = model(
            input_ids=ids, attention_mask=mask, position_ids=positions, output_attentions=True
        ).attentions
    stacked = torch.stack(attentions, 1).numpy()  # [prompt, layer, head, query, key]
    return [stacked[row][:, :, span, span] for row, span in enumerate(spans)]


def test_rows_equal_output_attentions_however_padded_and_batched(
    folder: Path, prompts: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ingest(name: str) -> Path:
        out = tmp_path / name
        outcome = run("ingest", "--model", f"mine={folder}", "--prompts", prompts, "--out", out)
        assert outcome.code == 0, outcome.err
        return out

    monkeypatch.setattr(attention, "plan_batches", one_batch)
    together = ingest("together")
    monkeypatch.setattr(attention, "plan_batches", batches_of_one)
    alone = ingest("alone")
    with open_session(together) as session, open_session(alone) as other:
        (row,) = session.rows("select * from models")
        ids = [token_ids(session, "mine", prompt_id) for prompt_id in range(N_PROMPTS)]
        patterns, patterns_alone = all_patterns(session), all_patterns(other)

    architecture = json.loads((folder / "config.json").read_text())["architectures"][0]
    assert (row["architecture"], row["n_layers"], row["n_heads"]) == (architecture, 2, 4)
    model_class = {type_.__name__: type_ for type_ in MODEL_CLASSES}[architecture]
    model: Any = model_class.from_pretrained(folder, attn_implementation="eager").eval()
    # The pooler of a model without a head stands after all attention and is not loaded.
    counted = [p.numel() for name, p in model.named_parameters() if "pooler" not in name]
    assert row["n_parameters"] == sum(counted)

    sides = {side: own_attention(model, ids, side) for side in ("left", "right")}
    for prompt_id in range(N_PROMPTS):
        stored = patterns[prompt_id]
        n_tokens = stored.shape[-1]
        is_stored = np.tril(np.ones((n_tokens, n_tokens), dtype=bool))
        if not row["is_causal"]:
            is_stored[:] = True
        assert np.isnan(stored[..., ~is_stored]).all()
        (single,) = own_attention(model, [ids[prompt_id]], "right")
        np.testing.assert_allclose(stored[..., is_stored], single[..., is_stored], atol=1e-5)
        for expected in (
            patterns_alone[prompt_id],
            *(found[prompt_id] for found in sides.values()),
        ):
            np.testing.assert_allclose(stored[..., is_stored], expected[..., is_stored], atol=1e-6)
    assert row["is_causal"] == (not architecture.startswith("Bert"))


def test_a_model_whose_file_lacks_weights_is_refused(run: Run, tmp_path: Path) -> None:
    """transformers alone would put random weights in their place."""
    folder = tmp_path / "model"
    ARCHITECTURES["GPT-2"]().save_pretrained(folder)
    shutil.copy(REFERENCE / "standard" / "tokenizer.json", folder)
    weights = load_file(folder / "model.safetensors")
    del weights["transformer.h.1.attn.c_attn.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    out = tmp_path / "dataset"
    outcome = run("ingest", "--model", f"mine={folder}", "--out", out)
    assert outcome.code == 2
    assert "no transformer.h.1.attn.c_attn.weight (1 weights are missing)" in outcome.err
    assert not out.exists()


MODEL_CLASSES = (LlamaForCausalLM, GPT2LMHeadModel, GPTNeoXForCausalLM, BertForMaskedLM, BertModel)


def one_batch(lengths: Sequence[int], n_heads: int) -> list[Batch]:
    return [Batch(tuple(range(len(lengths))), max(lengths))]


def batches_of_one(lengths: Sequence[int], n_heads: int) -> list[Batch]:
    return [Batch((member,), length) for member, length in enumerate(lengths)]
