"""Kinds of ablation on other architectures, against hooks on plain transformers by hand."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

import headswap
from ingest.ablation.controls import other_prompts
from ingest.dataset.verification import verify
from sql.session import Session, open_session
from tests.support.models.bundles import TOKENIZER
from tests.support.oracles.ablation import Change, changed_logits
from tests.support.running import token_ids

N_LAYERS, N_HEADS, N_PROMPTS = 2, 4, 5
SIZES: dict[str, Any] = {
    "vocab_size": 326,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": N_HEADS,
    "hidden_size": 32,
    "intermediate_size": 48,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
}
TEXT: dict[str, Any] = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
MASK = "[MASK]"


def _llama() -> Any:
    return LlamaForCausalLM(LlamaConfig(**SIZES, **TEXT, num_key_value_heads=2))


def _gpt2() -> Any:
    sizes = {"vocab_size": 326, "n_layer": N_LAYERS, "n_head": N_HEADS, "n_embd": 32}
    model = GPT2LMHeadModel(GPT2Config(**sizes, **TEXT, initializer_range=0.3, n_positions=128))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):  # so that a value bias counts
            torch.nn.init.normal_(parameter, 0, 0.3)
    return model


def _bert() -> Any:
    return BertForMaskedLM(BertConfig(**SIZES, pad_token_id=0))


# How a model is built, and the modules that what its heads mix goes into.
CASES: dict[str, tuple[Callable[[], Any], Any, Callable[[Any], list[Any]]]] = {
    "Llama with grouped queries": (
        _llama,
        AutoModelForCausalLM,
        lambda network: [layer.self_attn.o_proj for layer in network.model.layers],
    ),
    "GPT-2": (
        _gpt2,
        AutoModelForCausalLM,
        lambda network: [layer.attn.c_proj for layer in network.transformer.h],
    ),
    "BERT": (
        _bert,
        BertForMaskedLM,
        lambda network: [layer.attention.output.dense for layer in network.bert.encoder.layer],
    ),
}
PAIRS = (((0, 1), (1, 3)), ((1, 0), (1, 2)))
CAUSAL = ("Llama with grouped queries", "GPT-2")


@dataclass(frozen=True)
class Case:
    """A saved model, the dataset of its ablations, and its prompts."""

    name: str
    network: Any
    outputs: list[Any]
    dataset: Path
    prompts: dict[int, list[int]]


def _save_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    tokenizer.add_special_tokens([MASK])
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    records = [
        {
            "pair_id": n,
            "variant": "standard",
            "task": f"Task {n}",
            "steps": ["rest", "wipe"][: 1 + n % 2],
        }
        for n in range(N_PROMPTS)
    ]
    found = {}
    for name, (build, loader, outputs_of) in CASES.items():
        torch.manual_seed(0)
        folder = tmp_path_factory.mktemp("ablation")
        build().eval().save_pretrained(folder / "model")
        _save_tokenizer(folder / "model")
        (folder / "prompts.jsonl").write_text("\n".join(map(json.dumps, records)))
        dataset = folder / "dataset"
        words = ["ingest", f"--model=mine={folder / 'model'}", f"--prompts={folder}/prompts.jsonl"]
        assert headswap.main([*words, "--out", str(dataset)]) == 0
        kinds = ["--kind=zero", "--kind=mean", "--kind=resample"]
        pairs = [f"--pairs=L{a}H{i}+L{b}H{j}" for (a, i), (b, j) in PAIRS]
        assert headswap.main(["ablate", str(dataset), *kinds, *pairs]) == 0
        assert headswap.main(["ablate", str(dataset), *kinds]) == 0
        assert headswap.main(["ablate", str(dataset), *kinds, "--method=attribution"]) == 0
        network = loader.from_pretrained(folder / "model", attn_implementation="eager").eval()
        with open_session(dataset) as session:
            prompts = {n: token_ids(session, "mine", n) for n in range(N_PROMPTS)}
        found[name] = Case(name, network, outputs_of(network), dataset, prompts)
    return found


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, cases: dict[str, Case]) -> Case:
    return cases[request.param]


def changes(case: Case, kind: str, layer: int, head: int) -> dict[int, Change]:
    """What takes the place of what a head mixes, in each prompt."""
    mixed = {
        prompt: changed_logits(case.network, case.outputs, ids, None)[1][layer][head]
        for prompt, ids in case.prompts.items()
    }
    mean = torch.cat(list(mixed.values())).double().mean(0).to(mixed[0].dtype)
    others = other_prompts(sorted(mixed))

    def change_in(prompt: int) -> Change:
        def change(of_layer: int, heads: Tensor) -> Tensor:
            if of_layer != layer:
                return heads
            if kind == "resample":
                other = mixed[others[prompt]]
                places = [min(place, len(other) - 1) for place in range(heads.shape[1])]
                heads[head] = other[places]
            else:
                heads[head] = mean if kind == "mean" else 0
            return heads

        return change

    return {prompt: change_in(prompt) for prompt in mixed}


def log_probabilities(case: Case, prompt: int, change: Change | None) -> NDArray[np.float32]:
    """`[position, token]`; an encoder reads the prompt once for each position, masked there."""
    ids = case.prompts[prompt]
    if not isinstance(case.network, BertForMaskedLM):
        logits, _ = changed_logits(case.network, case.outputs, ids, change)
    else:
        tokenizer = Tokenizer.from_file(str(case.dataset.parent / "model/tokenizer.json"))
        mask = tokenizer.token_to_id(MASK)
        assert mask is not None
        parts = []
        for place in range(len(ids)):
            masked = [*ids[:place], mask, *ids[place + 1 :]]
            parts.append(changed_logits(case.network, case.outputs, masked, change)[0][place])
        logits = torch.stack(parts)
    found: NDArray[np.float32] = logits.log_softmax(-1).numpy()
    return found


def stored(session: Session, kind: str, layer: int, head: int, prompt: int) -> list[dict[str, Any]]:
    return session.rows(
        "select * from ablation_effects where kind = $kind and layer = $layer and head = $head "
        "and prompt_id = $prompt order by position",
        {"kind": kind, "layer": layer, "head": head, "prompt": prompt},
    )


@pytest.mark.parametrize("kind", ["zero", "mean", "resample"])
def test_effects_equal_hooks_by_hand(case: Case, kind: str) -> None:
    is_encoder = isinstance(case.network, BertForMaskedLM)
    heads = [(0, 1), (1, 3)] if is_encoder else [(i, j) for i in (0, 1) for j in range(N_HEADS)]
    whole = {prompt: log_probabilities(case, prompt, None) for prompt in case.prompts}
    largest = 0.0
    with open_session(case.dataset) as session:
        for layer, head in heads:
            for prompt, change in changes(case, kind, layer, head).items():
                after, before = log_probabilities(case, prompt, change), whole[prompt]
                rows = stored(session, kind, layer, head, prompt)
                ids = case.prompts[prompt]
                assert [row["position"] for row in rows] == list(range(len(ids)))
                kl = (np.exp(before) * (before - after)).sum(-1)
                assert [row["kl_nats"] for row in rows] == pytest.approx(kl.tolist(), abs=1e-5)
                if not is_encoder:
                    last = rows.pop()
                    assert last["delta_loss_nats"] is last["probability_after"] is None
                for row in rows:
                    place = row["position"]
                    target = ids[place] if is_encoder else ids[place + 1]
                    change_of_loss = float(before[place, target] - after[place, target])
                    assert row["delta_loss_nats"] == pytest.approx(change_of_loss, abs=1e-5)
                    probability = float(np.exp(after[place, target]))
                    assert row["probability_after"] == pytest.approx(probability, abs=1e-5)
                    largest = max(largest, abs(change_of_loss))
    assert largest > 0.1, "else nothing was ablated"


@pytest.mark.parametrize("kind", ["zero", "mean", "resample"])
@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_pairs_equal_hooks_by_hand(
    case: Case, kind: str, pair: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    first, second = (changes(case, kind, *head) for head in pair)
    with open_session(case.dataset) as session:
        rows = session.rows(
            "select * from pair_effects where kind = $kind and layer_a = $layer and head_a = $head "
            "order by prompt_id, position",
            {"kind": kind, "layer": pair[0][0], "head": pair[0][1]},
        )
    assert {row["prompt_id"] for row in rows} == set(case.prompts)
    for prompt in (0, 3):

        def both(layer: int, heads: Tensor, prompt: int = prompt) -> Tensor:
            return second[prompt](layer, first[prompt](layer, heads))

        before = log_probabilities(case, prompt, None)
        after = log_probabilities(case, prompt, both)
        kl = (np.exp(before) * (before - after)).sum(-1)
        found = [row["kl_nats"] for row in rows if row["prompt_id"] == prompt]
        assert found == pytest.approx(kl.tolist(), abs=1e-5)


@pytest.mark.parametrize("kind", ["zero", "mean", "resample"])
def test_estimates_are_the_slope_of_the_loss_towards_the_replacement(case: Case, kind: str) -> None:
    step, network = 1e-2, copy.deepcopy(case.network).double()
    case = replace(case, network=network, outputs=CASES[case.name][2](network))
    with open_session(case.dataset) as session:
        rows = session.rows("select * from attribution_effects where kind = $kind", {"kind": kind})
    assert len(rows) == N_LAYERS * N_HEADS * N_PROMPTS
    found = {(row["layer"], row["head"], row["prompt_id"]): row for row in rows}
    for layer, head, prompt in ((0, 1, 0), (1, 3, 3)):
        change = changes(case, kind, layer, head)[prompt]

        def step_of(size: float, change: Change = change) -> Change:
            return lambda of_layer, heads: heads + size * (change(of_layer, heads.clone()) - heads)

        ids = case.prompts[prompt]
        is_encoder = isinstance(network, BertForMaskedLM)
        places = np.arange(len(ids) if is_encoder else len(ids) - 1)
        targets = np.array(ids if is_encoder else ids[1:])
        before, after = (
            log_probabilities(case, prompt, step_of(size))[places, targets]
            for size in (-step, step)
        )
        row = found[layer, head, prompt]
        assert row["n_positions"] == len(places)
        slope = float((before - after).mean()) / (2 * step)
        assert abs(slope) > 1e-3, "else nothing was estimated"
        assert row["estimated_delta_loss_nats"] == pytest.approx(slope, rel=1e-3, abs=1e-5)


def test_ablations_verify(case: Case) -> None:
    assert not [check for check in verify(case.dataset) if check.problems]
