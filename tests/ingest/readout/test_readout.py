"""`headswap readout` against the saved model in plain transformers: lens, norms, attribution."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

import headswap
from sql.session import Session, open_session
from tests.support.models.bundles import TOKENIZER
from tests.support.running import token_ids

N_LAYERS, N_HEADS, D_HEAD, D_MODEL = 2, 4, 8, 32
SIZES = {"vocab_size": 325, "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32}
TEXT = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
WIDE = {"initializer_range": 0.3, "max_position_embeddings": 128}
CLASS = "the;close"
N_PROMPTS = 6


def _gpt2() -> Any:
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=325, n_layer=2, n_head=4, n_embd=32, initializer_range=0.3, **TEXT)
    )
    for name, parameter in model.named_parameters():  # which start at 1 and 0
        if "ln" in name or "bias" in name:
            torch.nn.init.normal_(parameter, 1.0 if name.endswith("weight") else 0.0, 0.3)
    return model


def _llama() -> Any:
    sizes: dict[str, Any] = {**SIZES, **TEXT, **WIDE}
    model = LlamaForCausalLM(LlamaConfig(**sizes, num_key_value_heads=2, intermediate_size=48))
    for name, parameter in model.named_parameters():
        if "norm" in name:
            torch.nn.init.normal_(parameter, 1.0, 0.3)
    return model


BUILDS: dict[str, Callable[[], Any]] = {"Llama with grouped queries": _llama, "GPT-2": _gpt2}


@dataclass(frozen=True)
class Case:
    """A saved model, and the dataset of its attention and read-outs."""

    network: Any
    dataset: Path


def _write_prompts(folder: Path) -> Path:
    records = [
        {
            "pair_id": number,
            "variant": "standard",
            "task": f"Task {number}",
            "steps": ["close the box", "rest", "wipe it down"][: 1 + number % 3],
        }
        for number in range(N_PROMPTS)
    ]
    (folder / "prompts.jsonl").write_text("\n".join(map(json.dumps, records)))
    return folder / "prompts.jsonl"


@pytest.fixture(scope="module", params=BUILDS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("readout")
    BUILDS[request.param]().eval().save_pretrained(folder / "model")
    shutil.copy(TOKENIZER, folder / "model")
    dataset, prompts = folder / "dataset", _write_prompts(folder)
    words = ["ingest", f"--model=mine={folder / 'model'}", f"--prompts={prompts}"]
    assert headswap.main([*words, "--out", str(dataset)]) == 0
    words = ["readout", str(dataset), "--class", f"mine={CLASS}", "--all-positions"]
    assert headswap.main(words) == 0
    return Case(AutoModelForCausalLM.from_pretrained(folder / "model"), dataset)


def _outputs(network: Any, ids: list[int], modules: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Of each module what went in (`name<`) and what came out (`name>`), `[position, ...]`."""
    seen: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_: Any, inputs: Any, output: Any) -> None:
            seen[f"{name}<"] = inputs[0][0]
            seen[f"{name}>"] = (output[0] if isinstance(output, tuple) else output)[0]

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    with torch.inference_mode():
        seen["logits>"] = network(torch.tensor([ids])).logits[0]
    for handle in handles:
        handle.remove()
    return seen


def _parts(network: Any) -> dict[str, Any]:
    """The modules whose inputs and outputs the tests look at, by names of ours."""
    if isinstance(network, LlamaForCausalLM):
        body, layers, norm = network.model, network.model.layers, network.model.norm
        found = {"embed": body.embed_tokens}
        for number, layer in enumerate(layers):
            found[f"v{number}"], found[f"o{number}"] = (
                layer.self_attn.v_proj,
                layer.self_attn.o_proj,
            )
            found[f"mlp{number}"], found[f"layer{number}"] = layer.mlp, layer
    else:
        body, layers, norm = network.transformer, network.transformer.h, network.transformer.ln_f
        found = {"embed": body.wte, "places": body.wpe}
        for number, layer in enumerate(layers):
            found[f"v{number}"], found[f"o{number}"] = layer.attn.c_attn, layer.attn.c_proj
            found[f"mlp{number}"], found[f"layer{number}"] = layer.mlp, layer
    return {**found, "norm": norm}


def _output_rows(network: Any, layer: int) -> torch.Tensor:
    """What each head's values are multiplied with, `[head, d_head, d_model]`."""
    module = _parts(network)[f"o{layer}"]
    weight = module.weight.T if isinstance(network, LlamaForCausalLM) else module.weight
    rows: torch.Tensor = weight.detach().reshape(N_HEADS, D_HEAD, D_MODEL)
    return rows


def _values(network: Any, came_out: torch.Tensor) -> torch.Tensor:
    """The value vectors `[position, head, d_head]`."""
    if isinstance(network, LlamaForCausalLM):
        two = came_out.reshape(-1, 2, D_HEAD)  # two heads share each
        return two[:, [0, 0, 1, 1]]
    return came_out[:, 2 * D_MODEL :].reshape(-1, N_HEADS, D_HEAD)


def _column(session: Session, column: str, prompt_id: int) -> NDArray[np.float64]:
    """A column of head_writes `[layer, head, position]`; NaN for null."""
    rows = session.rows(
        f"select {column} as x from head_writes where prompt_id = $p "
        "order by layer, head, position",
        {"p": prompt_id},
    )
    values = [np.nan if row["x"] is None else row["x"] for row in rows]
    return np.array(values).reshape(N_LAYERS, N_HEADS, -1)


def test_read_outs_equal_norm_and_head_of_the_layers_output(case: Case) -> None:
    network, ids_of_class = case.network, []
    with open_session(case.dataset) as session:
        ids_of_class = [row["token_id"] for row in session.rows("select * from token_classes")]
        assert len(ids_of_class) == 2
        for prompt in range(N_PROMPTS):
            rows = session.rows(
                "select probability from layer_readouts where prompt_id = $p "
                "order by layer, position",
                {"p": prompt},
            )
            seen = _outputs(network, token_ids(session, "mine", prompt), _parts(network))
            found = np.array([row["probability"] for row in rows]).reshape(N_LAYERS, -1)
            with torch.inference_mode():
                first = network.lm_head(_parts(network)["norm"](seen["layer0>"]))
            for layer, logits in enumerate((first, seen["logits>"])):
                expected = logits.double().softmax(-1)[:, ids_of_class].sum(-1).numpy()
                assert np.abs(found[layer] - expected).max() <= 1e-6
    assert np.ptp(found) > 0.001


def test_norms_equal_those_of_plain_transformers(case: Case) -> None:
    with open_session(case.dataset) as session:
        for prompt in range(N_PROMPTS):
            ids = token_ids(session, "mine", prompt)
            seen = _outputs(case.network, ids, _parts(case.network))
            outputs, values = (
                _column(session, name, prompt) for name in ("output_norm", "value_norm")
            )
            for layer in range(N_LAYERS):
                matrix = _output_rows(case.network, layer)
                mixed = seen[f"o{layer}<"].reshape(-1, N_HEADS, D_HEAD)
                wrote = torch.einsum("phd,hdm->hpm", mixed, matrix).norm(dim=-1)
                assert np.abs(outputs[layer] - wrote.numpy()).max() <= 1e-5
                value = _values(case.network, seen[f"v{layer}>"])
                norms = torch.einsum("phd,hdm->hpm", value, matrix).norm(dim=-1)
                assert np.abs(values[layer] - norms.numpy()).max() <= 1e-5


def test_weights_times_value_norms(case: Case) -> None:
    """By the definition; at position 0 all of the weight is on itself."""
    with open_session(case.dataset) as session:
        (row,) = session.rows(
            "select count(*) as n, max(abs(norm - weight * value_norm)) as wrong "
            "from attention_norms"
        )
        (stored,) = session.rows("select count(*) as n from attention")
        assert (row["n"], row["wrong"]) == (stored["n"], 0)
        first = session.rows(
            "select norm, output_norm from attention_norms inner join head_writes "
            "using (model, layer, head, prompt_id) where query = 0 and position = 0"
        )
    assert len(first) == N_LAYERS * N_HEADS * N_PROMPTS
    assert max(abs(row["norm"] - row["output_norm"]) for row in first) <= 1e-5


def test_direct_logits_and_the_rest_sum_to_the_logit(case: Case) -> None:
    """The rest by hand: embeddings, MLPs and biases through the norm, its scale frozen."""
    network, norm = case.network, _parts(case.network)["norm"]
    is_llama = isinstance(network, LlamaForCausalLM)
    unembedding = network.lm_head.weight.detach()
    with open_session(case.dataset) as session:
        for prompt in range(N_PROMPTS):
            ids = token_ids(session, "mine", prompt)
            seen = _outputs(network, ids, _parts(network))
            direct = _column(session, "direct_logit", prompt)
            assert np.isnan(direct[..., -1]).all()
            rest = seen["embed>"] if is_llama else seen["embed>"] + seen["places>"]
            for layer in range(N_LAYERS):
                rest = rest + seen[f"mlp{layer}>"]
                if not is_llama:
                    rest = rest + _parts(network)[f"o{layer}"].bias.detach()
            stream = seen["layer1>"]
            if is_llama:
                scale = (stream.pow(2).mean(-1, keepdim=True) + norm.variance_epsilon).sqrt()
                normed = rest / scale * norm.weight.detach()
            else:
                scale = (stream.var(-1, keepdim=True, unbiased=False) + norm.eps).sqrt()
                centred = rest - rest.mean(-1, keepdim=True)
                normed = centred / scale * norm.weight.detach() + norm.bias.detach()
            following = torch.tensor(ids[1:])
            others = (normed[:-1] * unembedding[following]).sum(-1).numpy()
            logits = seen["logits>"][:-1].gather(1, following[:, None])[:, 0].numpy()
            total = direct[..., :-1].sum((0, 1)) + others
            assert np.abs(total - logits).max() <= 1e-4
            assert np.abs(direct[..., :-1].sum((0, 1))).max() > 0.01
