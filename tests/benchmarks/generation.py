"""Generating text with kept keys and values against whole forwards, at the released shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from ingest.generation.decoding import Decoder, Job
from ingest.generation.draws import chosen_token, noise_of
from ingest.generation.sampling import Sampling
from ingest.models.loaded import LoadedModel
from tests.benchmarks.ingest import RELEASED, work_on
from tests.benchmarks.measure import Figure, best

N_NEW, N_CONTEXT, N_SEEDS = 100, 16, 5
OURS, WHOLE = "headswap", "whole forwards"


def whole_forwards(model: LoadedModel, jobs: Sequence[Job], sampling: Sampling) -> None:
    """The same texts together, every step a forward over all that was written so far."""
    network: Any = model.bridge.original_model
    noises = [noise_of(job.prompt_key, job.seed, RELEASED.d_vocab) for job in jobs]
    ids = torch.tensor([job.context for job in jobs])
    with torch.inference_mode():
        for _ in range(sampling.max_new_tokens):
            logits = network(input_ids=ids, use_cache=False, logits_to_keep=1).logits[:, -1]
            rows = logits.numpy().astype(np.float64)
            chosen = [
                chosen_token(row, next(noise), sampling)[0]
                for row, noise in zip(rows, noises, strict=True)
            ]
            ids = torch.cat([ids, torch.tensor(chosen)[:, None]], 1)


def figures(rounds: int) -> Iterator[Figure]:
    """How much faster the texts of five seeds are, the least that a prompt gives by default."""
    sampling, context = Sampling(max_new_tokens=N_NEW), tuple(range(5, 5 + N_CONTEXT))
    jobs = [Job("prompt", seed, context, frozenset()) for seed in range(N_SEEDS)]
    with work_on([N_CONTEXT]) as work:
        decoder = Decoder(work.model, sampling, N_SEEDS)
        works: dict[str, Callable[[], object]] = {
            OURS: partial(decoder.generate, jobs),
            WHOLE: partial(whole_forwards, work.model, jobs, sampling),
        }
        found = best(works, rounds)
    yield Figure(
        f"whole forwards over generate, {N_SEEDS} x {N_NEW} tokens",
        found[WHOLE] / found[OURS],
        5,
        10,
        is_least=True,
    )
