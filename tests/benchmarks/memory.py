"""The memory that an ingest takes at most, for few prompts and for many.

The model has the released pair's 48 heads but is narrow: its memory is small, so that growth shows.
"""

from __future__ import annotations

import json
import string
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.benchmarks.measure import Figure, peak_of_command
from tests.support.models.bundles import LLAMA, SMALL, Sizes, config_of, llama_state, write_bundle

NARROW = Sizes(n_layers=6, n_heads=8, d_model=64, d_head=8, d_mlp=96, d_vocab=SMALL.d_vocab)


def write_prompts(path: Path, n_prompts: int) -> Path:
    """A file of prompts of 30 to 64 characters, about as many tokens: words of a vocabulary."""
    generator = np.random.default_rng(0)
    letters = list(string.ascii_uppercase)
    words = ["".join(generator.choice(letters, n)) for n in generator.integers(2, 11, 2000)]
    with path.open("w", encoding="utf-8") as file:
        for length in generator.integers(30, 65, n_prompts):
            text = " ".join(generator.choice(words, 32))[:length].strip()
            file.write(json.dumps({"text": text}) + "\n")
    return path


def figures(few: int = 100, many: int = 10_000) -> Iterator[Figure]:
    """The peak for many prompts over the peak for few."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = write_bundle(
            folder / "model", config_of(NARROW, **LLAMA), llama_state(NARROW, seed=0)
        )
        peaks = []
        for n_prompts in (few, many):
            prompts = write_prompts(folder / f"{n_prompts}.jsonl", n_prompts)
            words = ["ingest", f"--model=model={bundle}", f"--prompts={prompts}"]
            words += ["--out", str(folder / f"dataset-{n_prompts}")]
            peaks.append(peak_of_command(words))
    what = f"peak memory, {many:,} prompts over {few:,}"
    yield Figure(what, peaks[1] / peaks[0], 1.1, 1.0, peaks=(peaks[1], peaks[0]))
