"""The memory that an ingest takes at most, for few prompts and for many.

Each ingest is a process of its own, forked from one that has imported torch. The model has the
released pair's 48 heads but is narrow: its memory is small, so that growth shows.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import string
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import headswap
from tests.benchmarks.measure import Figure, peak_bytes
from tests.bundles import LLAMA, SMALL, Sizes, config_of, llama_state, write_bundle

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
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ingest.models.load", "ingest.pipeline", "sql.export"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = write_bundle(
            folder / "model", config_of(NARROW, **LLAMA), llama_state(NARROW, seed=0)
        )
        peaks = []
        for n_prompts in (few, many):
            prompts = write_prompts(folder / f"{n_prompts}.jsonl", n_prompts)
            out = folder / f"dataset-{n_prompts}"
            words = ["ingest", f"--model=model={bundle}", f"--prompts={prompts}", "--out", str(out)]
            answer = folder / f"{n_prompts}.txt"
            process = context.Process(target=_ingest, args=(words, answer))
            process.start()
            process.join()
            peaks.append(int(answer.read_text()))
    what = f"peak memory, {many:,} prompts over {few:,} ({peaks[0] / 1e6:.0f} MB)"
    yield Figure(what, peaks[1] / peaks[0], 1.1, 1.0)


def _ingest(words: list[str], answer: Path) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    if headswap.main(words) == 0:
        answer.write_text(str(peak_bytes()))
