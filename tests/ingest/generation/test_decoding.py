"""Texts against a plain loop of whole forwards, in which neither cache nor batch exists."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)

from ingest.ablation.controls import other_prompts
from ingest.demo.tasks import demo_tasks
from ingest.generation import decoding
from ingest.generation.ablated import Condition
from ingest.generation.ablating import Ablations
from ingest.generation.decoding import Decoder, Generated, Job
from ingest.generation.draws import noise_of
from ingest.generation.sampling import Sampling
from ingest.generation.steps import context_of, steps_of
from ingest.kernel.errors import HeadswapError, InputError
from ingest.models.loaded import LoadedModel
from tests.support.models.bundles import TOKENIZER
from tests.support.models.loading import loaded

N_HEADS, D_HEAD = 4, 8
SIZES = {"vocab_size": 325, "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32}
TEXT = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
WIDE = {"initializer_range": 0.3, "max_position_embeddings": 64}
Build = Callable[[], Any]
ARCHITECTURES: dict[str, Build] = {
    "Llama with grouped queries": lambda: LlamaForCausalLM(
        LlamaConfig(**SIZES, **TEXT, **WIDE, num_key_value_heads=2, intermediate_size=48)
    ),
    "GPT-2": lambda: GPT2LMHeadModel(
        GPT2Config(
            vocab_size=325,
            n_layer=2,
            n_head=4,
            n_embd=32,
            n_positions=64,
            initializer_range=0.3,
            **TEXT,
        )
    ),
    "GPT-NeoX": lambda: GPTNeoXForCausalLM(
        GPTNeoXConfig(**SIZES, **TEXT, **WIDE, intermediate_size=48)
    ),
}
JOBS = [
    Job(f"prompt {prompt}", seed, tuple(range(5 + prompt, 8 + 3 * prompt)), frozenset(range(9)))
    for prompt in range(4)
    for seed in range(3)
]
SAMPLINGS = [Sampling(1.0, None, 20), Sampling(0.7, 12, 20), Sampling(0.0, None, 20)]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    ARCHITECTURES[request.param]().eval().save_pretrained(folder)
    shutil.copy(TOKENIZER, folder)
    return folder


def plain(network: Any, job: Job, sampling: Sampling) -> Generated:
    """One text by the definition: whole forwards, noise added to scaled logits, the largest."""
    noise, ids = noise_of(job.prompt_key, job.seed, 325), list(job.context)
    for _ in range(sampling.max_new_tokens):
        with torch.inference_mode():
            logits = network(torch.tensor([ids])).logits[0, -1].double().numpy()
        scores = logits / sampling.temperature + next(noise) if sampling.temperature else logits
        if sampling.top_k:
            scores[np.argsort(-logits)[sampling.top_k :]] = -np.inf
        ids.append(int(scores.argmax()))
        if ids[-1] in job.end_ids:
            break
    return Generated(tuple(ids[len(job.context) :]), ids[-1] in job.end_ids)


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=lambda sampling: sampling.label)
def test_texts_equal_those_of_a_plain_loop(folder: Path, sampling: Sampling) -> None:
    network = AutoModelForCausalLM.from_pretrained(folder)
    expected = [plain(network, job, sampling) for job in JOBS]
    assert Decoder(loaded(str(folder)), sampling, 5).generate(JOBS) == expected
    assert len({text.token_ids for text in expected}) >= 4


def without_heads(network: Any, heads: list[tuple[int, int]]) -> Any:
    """The model with the rows of the output matrices that some heads write through set to 0."""
    for layer, head in heads:
        columns = slice(head * D_HEAD, (head + 1) * D_HEAD)
        if isinstance(network, LlamaForCausalLM):
            network.model.layers[layer].self_attn.o_proj.weight.data[:, columns] = 0
        elif isinstance(network, GPTNeoXForCausalLM):
            network.gpt_neox.layers[layer].attention.dense.weight.data[:, columns] = 0
        else:
            network.transformer.h[layer].attn.c_proj.weight.data[columns] = 0
    return network


@pytest.mark.parametrize("heads", [[(1, 3)], [(0, 1), (0, 2), (1, 0)]], ids=str)
def test_ablated_texts_equal_those_without_the_heads_output(
    folder: Path, heads: list[tuple[int, int]]
) -> None:
    model, sampling = loaded(str(folder)), Sampling(max_new_tokens=20)
    network = without_heads(AutoModelForCausalLM.from_pretrained(folder), heads)
    ablation = Ablations(model, {}).intervention(Condition(tuple(heads), "zero"))
    found = Decoder(model, sampling, 4, ablation).generate(JOBS)
    assert found == [plain(network, job, sampling) for job in JOBS]
    whole = Decoder(model, sampling, 4).generate(JOBS)
    assert found != whole
    # Nothing of the ablation stays behind.
    assert whole == Decoder(loaded(str(folder)), sampling, 4).generate(JOBS)


def output_of(network: Any, layer: int) -> Any:
    """The module of a layer that what its heads mix goes into."""
    if isinstance(network, LlamaForCausalLM):
        return network.model.layers[layer].self_attn.o_proj
    if isinstance(network, GPTNeoXForCausalLM):
        return network.gpt_neox.layers[layer].attention.dense
    return network.transformer.h[layer].attn.c_proj


@pytest.mark.parametrize("batch_size", [1, 5])
def test_resampled_texts_are_those_with_what_the_head_mixes_in_another_prompt(
    folder: Path, batch_size: int
) -> None:
    model, layer, columns = loaded(str(folder)), 0, slice(2 * D_HEAD, 3 * D_HEAD)
    prompts = {place: np.arange(5 + place, 9 + 2 * place, dtype=np.int32) for place in (0, 3, 7, 8)}
    # The first two of the prompts that are continued are stored ones; the others are not.
    id_of = {"prompt 0": 7, "prompt 1": 0}
    network = AutoModelForCausalLM.from_pretrained(folder)
    output, mixed = output_of(network, layer), dict[int, torch.Tensor]()
    for number, ids in prompts.items():

        def keep(_: Any, given: Any, number: int = number) -> None:
            mixed[number] = given[0][0][:, columns]

        handle = output.register_forward_pre_hook(keep)
        with torch.inference_mode():
            network(torch.tensor(ids[None].astype(np.int64)))
        handle.remove()
    others = other_prompts(sorted(prompts))
    sampling, expected, taken = Sampling(max_new_tokens=20), [], []
    for job in JOBS:
        if job.prompt_key in id_of:
            other = others[id_of[job.prompt_key]]
        else:
            digest = hashlib.sha256(job.prompt_key.encode()).hexdigest()
            other = sorted(prompts)[int(digest[:16], 16) % 4]
        taken.append(other)

        def replace(_: Any, given: Any, values: torch.Tensor = mixed[other]) -> Any:
            heads = given[0].clone()
            places = [min(place, len(values) - 1) for place in range(heads.shape[1])]
            heads[0, :, columns] = values[places]
            return (heads,)

        handle = output.register_forward_pre_hook(replace)
        expected.append(plain(network, job, sampling))
        handle.remove()
    assert len(set(taken)) > 1
    keys = [job.prompt_key for job in JOBS]
    ablations = Ablations(model, prompts, id_of)
    ablation = ablations.intervention(Condition(((layer, 2),), "resample"), keys)
    assert Decoder(model, sampling, batch_size, ablation).generate(JOBS) == expected
    assert expected != Decoder(model, sampling, 5).generate(JOBS)


def test_mean_ablated_texts_equal_those_with_the_mean_as_a_bias(folder: Path) -> None:
    """What a head writes is taken away, its mean over all positions of two prompts added."""
    model, (layer, head) = loaded(str(folder)), (1, 2)
    prompts = {0: np.arange(5, 17, dtype=np.int32), 4: np.arange(40, 45, dtype=np.int32)}
    network = AutoModelForCausalLM.from_pretrained(folder)
    output = output_of(network, layer)
    mixed: list[torch.Tensor] = []
    handle = output.register_forward_hook(lambda _, given, __: mixed.append(given[0][0]))
    with torch.inference_mode():
        for ids in prompts.values():
            network(torch.tensor(ids[None].astype(np.int64)))
    handle.remove()
    mean = torch.zeros(N_HEADS * D_HEAD)
    columns = slice(head * D_HEAD, (head + 1) * D_HEAD)
    mean[columns] = torch.cat(mixed).mean(0)[columns]
    with torch.inference_mode():
        added = output(mean) - output(0 * mean)
    output.register_forward_hook(lambda _, __, out: out + added)
    without_heads(network, [(layer, head)])
    ablation = Ablations(model, prompts).intervention(Condition(((layer, head),), "mean"))
    sampling = Sampling(max_new_tokens=20)
    found = Decoder(model, sampling, 4, ablation).generate(JOBS)
    assert found == [plain(network, job, sampling) for job in JOBS]
    assert found != Decoder(model, sampling, 4).generate(JOBS)


@pytest.fixture(scope="module", params=["demo:standard-1", "demo:adhd-shared"])
def demo_model(request: pytest.FixtureRequest) -> LoadedModel:
    return loaded(request.param)


def test_the_batch_changes_no_text_of_the_demo_models(demo_model: LoadedModel) -> None:
    tasks = demo_tasks()
    keys = [row["prompt_key"] for row in tasks.rows()]
    jobs = []
    for key, prompt in list(zip(keys, tasks.prompts, strict=True))[:8]:
        context = context_of(demo_model.tokenizer, prompt, demo_model.config)
        jobs += [Job(key, seed, context.token_ids, context.end_ids) for seed in range(2)]
    sampling = Sampling(max_new_tokens=40)
    sixteen = Decoder(demo_model, sampling, 16).generate(jobs)
    assert Decoder(demo_model, sampling, 16).generate(jobs) == sixteen
    assert Decoder(demo_model, sampling, 1).generate(jobs) == sixteen
    assert Decoder(demo_model, sampling, 5).generate(jobs[::-1]) == sixteen[::-1]
    assert len({text.token_ids for text in sixteen}) >= 12


def test_the_demo_models_take_more_steps_for_what_is_more_complex(
    demo_model: LoadedModel,
) -> None:
    tasks = list(demo_tasks().prompts)[:32]
    contexts = [context_of(demo_model.tokenizer, task, demo_model.config) for task in tasks]
    jobs = [
        Job(task.text, 0, c.token_ids, c.end_ids) for task, c in zip(tasks, contexts, strict=True)
    ]
    texts = Decoder(demo_model, Sampling(), 32).generate(jobs)
    n_steps = [len(steps_of(demo_model.tokenizer, text.token_ids)) for text in texts]
    assert stats.spearmanr([task.complexity for task in tasks], n_steps).statistic >= 0.5


def test_a_draw_too_close_to_call_is_made_from_the_text_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noise on the batch's logits, as large as is allowed for, changes no text."""
    model, sampling = loaded(str(folder)), Sampling(max_new_tokens=20)
    expected = Decoder(model, sampling, 5).generate(JOBS)
    generator, original = np.random.default_rng(0), Decoder._next_logits

    def noisy(self: Decoder, *arguments: Any) -> Any:
        logits = original(self, *arguments)
        return logits + generator.uniform(-1e-4, 1e-4, logits.shape)

    monkeypatch.setattr(Decoder, "_next_logits", noisy)
    decoder = Decoder(model, sampling, 5)
    assert decoder.generate(JOBS) == expected

    def wrong(self: Decoder, *arguments: Any) -> Any:
        logits = original(self, *arguments)
        return logits + generator.uniform(-1, 1, logits.shape)

    monkeypatch.setattr(Decoder, "_next_logits", wrong)
    monkeypatch.setattr(decoding, "chosen_token", lambda *_: (0, False))
    with pytest.raises(HeadswapError, match="differ by"):
        Decoder(model, sampling, 5).generate(JOBS)


def test_a_text_ends_where_the_model_can_read_no_more(folder: Path) -> None:
    model = loaded(str(folder))
    job = Job("prompt", 0, tuple(range(5, 65 - 10)), frozenset())
    (text,) = Decoder(model, Sampling(max_new_tokens=128), 1).generate([job])
    assert (len(text.token_ids), text.is_complete) == (14, False)
    with pytest.raises(InputError, match="no room to generate"):
        decoding.check_context(model, tuple(range(64)), "prompt 3")
