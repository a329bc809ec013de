"""Small datasets without a model: softmax rows that a few numbers a head shape."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingest.dataset.commit import commit
from ingest.dataset.manifest import FileEntry, Manifest, ModelEntry
from ingest.dataset.relations import STORED_TABLES
from ingest.dataset.writer import Triangle, attention_file, file_entry, write_table

MARKERS = ("<|task|>", "<|steps|>", "<|sep|>", "<|end|>")
# A task and its steps, in words.
PROMPTS = (
    ("Make tea", ("Boil water", "Warm the pot", "Steep the leaves", "Pour a cup")),
    ("Pack a bag", ("Fold shirts", "Roll socks", "Close the bag")),
    ("Water the plants", ("Fill the can", "Water each plant slowly", "Check the soil", "Rest")),
)


@dataclass(frozen=True)
class SyntheticModel:
    """A model of n_layers x n_heads heads. Two of one seed have the same heads.

    places: for each flat index (layer * n_heads + head) the flat index of the head that stands
    there; None for each in its own place. noise: how far each head is off. blind: the flat indices
    of heads that put no weight at all on a marker, so that their profile is 0. source: None for
    `synthetic:NAME`.
    """

    name: str
    n_layers: int = 2
    n_heads: int = 3
    seed: int = 0
    places: tuple[int, ...] | None = None
    noise: float = 0.0
    blind: tuple[int, ...] = ()
    source: str | None = None


def write_synthetic_dataset(
    path: Path,
    models: Sequence[SyntheticModel],
    prompts: Sequence[tuple[str, Sequence[str]]] = PROMPTS,
    has_structural: bool = True,
    pair_ids: Sequence[str | None] | None = None,
) -> Path:
    """Writes a dataset folder and returns it; the words of a prompt are its tokens.

    pair_ids: of the prompts, None for their numbers.

    has_structural: False for one in which no token counts as structural, as with GPT-2's tokenizer.
    pair_ids: of each prompt, None for one of its own.
    """
    tokens = [_words(task, steps) for task, steps in prompts]
    lengths = [len(words) for words in tokens]
    structural = [np.array([word in MARKERS for word in words]) for words in tokens]
    ids = range(len(prompts))
    attention = []
    for model in models:
        triangle = Triangle(list(ids), lengths, is_causal=True)
        cells = triangle.flat_index(1, max(lengths))
        part = STORED_TABLES["attention"].path(0, model.name)
        with attention_file(path / part, triangle, model.name) as file:
            heads = _head_numbers(model)  # [flat head, number]
            for layer in range(model.n_layers):
                weights = np.zeros((model.n_heads, len(prompts), max(lengths), max(lengths)))
                for head in range(model.n_heads):
                    for prompt, marks in enumerate(structural):
                        n = lengths[prompt]
                        numbers = heads[layer * model.n_heads + head]
                        weights[head, prompt, :n, :n] = _attention(numbers, marks)
                rows = weights.reshape(model.n_heads, -1)[:, cells]  # [head, row]
                file.write_layer(layer, rows.astype(np.float32))
        attention.append(file_entry(path, part, file.rows, model.name))
    prompt_rows = [prompt_row(number, task, steps) for number, (task, steps) in enumerate(prompts)]
    for row, pair_id in zip(prompt_rows, pair_ids or [], strict=False):
        row["pair_id"] = pair_id
    commit_rows(path, models, attention, prompt_rows, tokens, has_structural)
    return path


def write_large_dataset(
    path: Path, n_prompts: int = 70, n_tokens: int = 60, n_layers: int = 6, n_heads: int = 8
) -> Path:
    """Writes two models, `a` and `b`, of random weights, large enough that a head is a part."""
    words = [
        [
            "<|task|>",
            "x",
            "<|steps|>",
            *(f" w{n}" for n in range(n_tokens - 5)),
            "<|sep|>",
            "<|end|>",
        ]
        for _ in range(n_prompts)
    ]
    triangle = Triangle(range(n_prompts), [n_tokens] * n_prompts, is_causal=True)
    starts = np.flatnonzero(triangle.key == 0)
    lengths = np.diff(np.append(starts, len(triangle)))
    entries = []
    models = [SyntheticModel(name, n_layers, n_heads) for name in "ab"]
    for seed, model in enumerate(models):
        random = np.random.default_rng(seed)
        part = f"attention/{model.name}/part-00000.parquet"
        with attention_file(path / part, triangle, model.name) as file:
            for layer in range(n_layers):
                weights = random.random((n_heads, len(triangle)))
                sums = np.add.reduceat(weights, starts, axis=1)
                file.write_layer(
                    layer, (weights / np.repeat(sums, lengths, axis=1)).astype(np.float32)
                )
        entries.append(file_entry(path, part, file.rows, model.name))
    prompts = [prompt_row(number, "x", [f"step {number}"]) for number in range(n_prompts)]
    commit_rows(path, models, entries, prompts, words)
    return path


def commit_rows(
    path: Path,
    models: Sequence[SyntheticModel],
    attention: Sequence[FileEntry],
    prompts: Sequence[dict[str, Any]],
    tokens: Sequence[Sequence[str]],
    has_structural: bool = True,
) -> None:
    """Writes the small tables and the manifest of a dataset whose attention is written."""
    entries = [model_entry(model) for model in models]
    model_rows = [model_row(model, entry) for model, entry in zip(models, entries, strict=True)]
    words = [
        row | {"is_structural": row["is_structural"] and has_structural}
        for number, prompt in enumerate(tokens)
        for row in token_rows(number, prompt)
    ]
    tables = {
        "attention": tuple(attention),
        "models": (write_table(path, "models.parquet", "models", model_rows),),
        "prompts": (write_table(path, "prompts.parquet", "prompts", prompts),),
        "tokens": (write_table(path, "tokens.parquet", "tokens", words, "words"),),
    }
    manifest = Manifest(
        variant="standard",
        structural=None,
        prompts_sha256="0" * 64,
        tokenizers={"words": "1" * 64},
        models=tuple(entries),
        tables=tables,
        written_with={"headswap": "0"},
    )
    commit(path, manifest)


def _words(task: str, steps: Sequence[str]) -> list[str]:
    words = ["<|task|>", *_pieces(task), "<|steps|>"]
    for number, step in enumerate(steps):
        words += ["<|sep|>"] * (number > 0) + _pieces(step)
    return [*words, "<|end|>"]


def _pieces(text: str) -> list[str]:
    """Words as many tokenizers cut them: the blank belongs to the word after it."""
    first, *others = text.split(" ")
    return [first, *(f" {word}" for word in others)]


def _head_numbers(model: SyntheticModel) -> NDArray[np.float64]:
    """What shapes each head `[flat head, number]`: strength, onset, slope, recency, period."""
    n_heads = model.n_layers * model.n_heads
    low, high = [0.0, 0.0, -12.0, 0.0, 2.0], [5.0, 1.0, 12.0, 0.6, 9.0]
    numbers = np.random.default_rng(model.seed).uniform(low, high, (n_heads, 5))
    places = list(model.places or range(n_heads))
    noise = np.random.default_rng(n_heads).normal(0.0, model.noise, (n_heads, 5))
    found = numbers[places] + noise
    found[list(model.blind), 0] = -1e9  # strength
    return found


def _attention(numbers: NDArray[np.float64], structural: NDArray[np.bool_]) -> NDArray[np.float64]:
    """One head's causal softmax rows `[query, key]` on one prompt."""
    strength, onset, slope, recency, period = numbers
    n = len(structural)
    query, key = np.indices((n, n))
    rise = 1 / (1 + np.exp(-slope * (query / n - onset)))
    scores = strength * rise * structural[key] - recency * (query - key) + np.sin(key / period)
    scores[key > query] = -np.inf
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    normalised: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return normalised


def model_entry(model: SyntheticModel) -> ModelEntry:
    """A model as the manifest names it."""
    return ModelEntry(
        name=model.name,
        source=model.source or f"synthetic:{model.name}",
        revision=None,
        trust_remote_code=False,
        weights_sha256="2" * 64,
        architecture="Synthetic",
        tokenizer="words",
        dtype="float32",
        precision="float32",
        device="cpu",
        config={},
    )


def model_row(model: SyntheticModel, entry: ModelEntry) -> dict[str, Any]:
    """A row of the table `models`."""
    row = {name: value for name, value in vars(entry).items() if name not in {"config", "name"}}
    sizes = {"d_model": 8, "d_head": 4, "n_ctx": 512, "d_vocab": 100, "n_parameters": 1000}
    heads = {"n_layers": model.n_layers, "n_heads": model.n_heads}
    return row | sizes | heads | {"model": model.name, "is_causal": True}


def prompt_row(number: int, task: str, steps: Sequence[str]) -> dict[str, Any]:
    """A row of the table `prompts`."""
    return {
        "prompt_id": number,
        "prompt_key": hashlib.sha256(f"{task}{steps}".encode()).hexdigest()[:32],
        "pair_id": str(number),
        "variant": "standard",
        "task": task,
        "steps": list(steps),
        "complexity": None,
        "text": f"<|task|>{task}<|steps|>{'<|sep|>'.join(steps)}<|end|>",
    }


def token_rows(prompt: int, words: Sequence[str]) -> list[dict[str, Any]]:
    """A prompt's rows of the table `tokens`, a word each."""
    starts = np.cumsum([0, *(len(word) for word in words)]).tolist()
    return [
        {
            "tokenizer": "words",
            "prompt_id": prompt,
            "position": position,
            "token_id": zlib.crc32(word.encode()) >> 1,
            "token": word,
            "role": "marker" if word in MARKERS else "step",
            "step_index": None,
            "char_start": starts[position],
            "char_end": starts[position + 1],
            "is_structural": word in MARKERS,
        }
        for position, word in enumerate(words)
    ]
