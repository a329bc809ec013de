"""Trains the demo models: python -m ingest.demo.train [--model NAME ...] [--out DIR] [--steps N].

The same seed on the same machine gives the same weights: one thread, seeded text, seeded initial
weights, seeded order of batches. `standard-1` to `-4` and `adhd-1` to `-4` start from eight
different initial weights, so that a difference between the variants can be held against the
differences between models of one variant. `adhd-shared` starts from the weights of `standard-1`:
only the text sets these two apart.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TextIO

import torch

from ingest.demo.batches import batch_loss, mean_loss, shuffled_batches
from ingest.demo.network import Network, Shape
from ingest.demo.saved_bundle import MODELS_FOLDER, save_bundle
from ingest.demo.text import generate_pairs
from ingest.demo.vocabulary import train_tokenizer, variant_ids
from ingest.kernel.errors import HeadswapError, InputError
from ingest.prompts.sequence import PAD, marker_ids

LOG_NAME = "training_log.jsonl"
LOG_EVERY = 100  # steps between two lines of the log
PROGRESS_EVERY = 50  # steps between two lines of progress


@dataclass(frozen=True)
class Recipe:
    """What one model is trained on and how; token counts are a batch's, padding included.

    n_pairs: enough that the standard variant's prompts are read about once in all steps.
    """

    name: str
    variant: str
    seed: int
    text_seed: int = 0
    n_pairs: int = 90_000
    n_logged_prompts: int = 128
    n_steps: int = 4_000
    n_batch_tokens: int = 1_024
    n_warmup_steps: int = 100
    peak_rate: float = 3e-3
    final_rate_share: float = 0.02
    weight_decay: float = 0.1
    clipped_norm: float = 1.0


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("standard-1", "standard", seed=1),
        Recipe("adhd-1", "adhd", seed=5),
        Recipe("standard-2", "standard", seed=2),
        Recipe("adhd-2", "adhd", seed=6),
        Recipe("standard-3", "standard", seed=3),
        Recipe("adhd-3", "adhd", seed=7),
        Recipe("standard-4", "standard", seed=4),
        Recipe("adhd-4", "adhd", seed=8),
        Recipe("adhd-shared", "adhd", seed=1),
    )
}


def learning_rate(recipe: Recipe, step: int) -> float:
    """The rate of a 0-based step: a linear warm-up, then half a cosine down to the final share."""
    if step < recipe.n_warmup_steps:
        return recipe.peak_rate * (step + 1) / recipe.n_warmup_steps
    remaining = max(1, recipe.n_steps - recipe.n_warmup_steps)
    cosine = (1 + math.cos(math.pi * (step - recipe.n_warmup_steps) / remaining)) / 2
    return recipe.peak_rate * (recipe.final_rate_share + (1 - recipe.final_rate_share) * cosine)


def optimizer_of(network: Network, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW; the matrices decay, the norms' weights do not."""
    matrices = [parameter for parameter in network.parameters() if parameter.ndim == 2]
    vectors = [parameter for parameter in network.parameters() if parameter.ndim == 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.peak_rate, betas=(0.9, 0.95), fused=True)


def train(recipe: Recipe, folder: Path, progress: TextIO) -> Network:
    """Trains one model and writes bundle, tokenizer and log into the folder."""
    records = generate_pairs("train", recipe.n_pairs, recipe.text_seed)
    tokenizer = train_tokenizer(records)
    sequences = variant_ids(tokenizer, records, recipe.variant)
    held_out_records = generate_pairs("held-out", recipe.n_logged_prompts, recipe.text_seed)
    held_out = variant_ids(tokenizer, held_out_records, recipe.variant)
    pad_id = marker_ids(tokenizer)[PAD]

    network = Network(Shape(d_vocab=tokenizer.get_vocab_size()))
    network.initialize(torch.Generator().manual_seed(recipe.seed))
    optimizer = optimizer_of(network, recipe)
    batches = shuffled_batches(sequences, recipe.n_batch_tokens, random.Random(recipe.seed))

    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    recent: list[float] = []
    with (folder / LOG_NAME).open("w", encoding="utf-8") as log:
        _write_line(log, {**asdict(recipe), "torch": torch.__version__})
        untrained = round(mean_loss(network, held_out, pad_id), 5)
        _write_line(log, {"step": 0, "held_out_loss_nats": untrained})
        for step in range(1, recipe.n_steps + 1):
            rate = learning_rate(recipe, step - 1)
            for group in optimizer.param_groups:
                group["lr"] = rate
            with torch.autocast("cpu", torch.bfloat16):
                loss = batch_loss(network, next(batches), pad_id)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clipped_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
            recent.append(loss.item())
            seconds = time.monotonic() - started
            if step % PROGRESS_EVERY == 0 or step == recipe.n_steps:
                _print_progress(progress, recipe, step, recent[-1], seconds)
            if step % LOG_EVERY == 0 or step == recipe.n_steps:
                line = {
                    "step": step,
                    "training_loss_nats": round(sum(recent) / len(recent), 5),
                    "held_out_loss_nats": round(mean_loss(network, held_out, pad_id), 5),
                    "learning_rate": round(rate, 8),
                    "seconds": round(seconds, 1),
                }
                _write_line(log, line)
                recent.clear()
    save_bundle(folder, network, tokenizer, recipe.seed)
    return network


def _write_line(log: TextIO, line: Mapping[str, object]) -> None:
    log.write(json.dumps(line) + "\n")
    log.flush()


def _print_progress(
    progress: TextIO, recipe: Recipe, step: int, loss: float, seconds: float
) -> None:
    eta = seconds / step * (recipe.n_steps - step)
    print(
        f"{recipe.name}: step {step}/{recipe.n_steps}, loss {loss:.3f} nats, "
        f"{seconds:.0f} s, ETA {eta:.0f} s",
        file=progress,
        flush=True,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m ingest.demo.train", description="Trains the demo models from their seeds."
    )
    parser.add_argument(
        "--model", action="append", metavar="NAME", help="one of the models; all, if not given"
    )
    parser.add_argument(
        "--out", type=Path, default=MODELS_FOLDER, metavar="DIR", help="where the folders go"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="training steps")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        for name in options.model or RECIPES:
            train(chosen_recipe(name, options.steps), options.out / name, sys.stderr)
    except HeadswapError as error:
        print(f"{error}\nHint: {error.hint}", file=sys.stderr)
        return error.exit_code
    return 0


def chosen_recipe(name: str, n_steps: int | None) -> Recipe:
    """The recipe of a model, with another number of steps where one is given.

    Raises: InputError where no model has the name, or there is no step to do.
    """
    if name not in RECIPES:
        raise InputError(f"no demo model named {name!r}", hint=f"choose from {', '.join(RECIPES)}")
    if n_steps is None:
        return RECIPES[name]
    if n_steps < 1:
        raise InputError(f"{n_steps} training steps", hint="give --steps a number of 1 or more")
    return replace(RECIPES[name], n_steps=n_steps)


if __name__ == "__main__":
    sys.exit(main())
