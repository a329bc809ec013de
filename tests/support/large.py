"""A dataset of many rows, written directly: large enough that parts of it are small."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ingest.dataset.writer import Triangle, attention_file, file_entry
from tests.support.synthetic import SyntheticModel, commit_rows, prompt_row


def write_large_dataset(
    path: Path, n_prompts: int = 60, n_tokens: int = 60, n_layers: int = 6, n_heads: int = 8
) -> Path:
    """Two models, `a` and `b`, with random weights that sum to 1; no model is run."""
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
