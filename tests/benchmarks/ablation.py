"""All heads of a model ablated, against as many forwards of it, at the released shape."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ingest.ablation.ablator import Ablator
from ingest.ablation.options import ZERO
from tests.benchmarks.ingest import RELEASED, Work, lengths_between, work_on
from tests.benchmarks.measure import Figure, best

N_PROMPTS, SHORTEST, LONGEST = 12, 40, 80
OURS, FORWARDS = "headswap", "forwards"


def sweep(work: Work) -> None:
    """The effects of zeroing each head of each layer, on all prompts."""
    ablator = Ablator(work.model, dict(enumerate(work.encoded)))
    for readings in ablator.batches():
        run = ablator.run(readings)
        for layer in range(RELEASED.n_layers):
            run.effects(ZERO, [((layer, head),) for head in range(RELEASED.n_heads)])


def forwards(work: Work) -> None:
    """Whole forwards of all prompts together, one for each head, logits and nothing more."""
    with torch.inference_mode():
        for _ in range(RELEASED.n_layers * RELEASED.n_heads):
            for batch in work.batches():
                work.plain(input_ids=work.ids(batch))


def figures(rounds: int) -> Iterator[Figure]:
    """How much of the time of whole forwards a sweep takes."""
    with work_on(lengths_between(SHORTEST, LONGEST, N_PROMPTS)) as work:
        works = {OURS: lambda: sweep(work), FORWARDS: lambda: forwards(work)}
        found = best(works, rounds)
        n_heads = RELEASED.n_layers * RELEASED.n_heads
        yield Figure(
            f"ablate over {n_heads} forwards, {N_PROMPTS} prompts",
            found[OURS] / found[FORWARDS],
            0.75,
            0.6,
        )
