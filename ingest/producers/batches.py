"""Which prompts go through a model together: prompts of like length, a bounded number of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# A batch this large keeps the matrix products busy, and its rows of one head fill a row group.
TOKENS_PER_BATCH = 4096
# Bounds the pattern tensor [prompt, head, query, key] of one layer (float32: 256 MiB).
PATTERN_CELLS_PER_BATCH = 1 << 26
# Prompts are sorted by length within windows of this many, so that files stay ordered by prompt.
WINDOW = 1024


@dataclass(frozen=True)
class Batch:
    """Positions of prompts in the prompt set, ascending. width: tokens of the longest prompt."""

    members: tuple[int, ...]
    width: int


def plan_batches(
    lengths: Sequence[int],
    n_heads: int,
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> list[Batch]:
    """Cuts prompts into batches; the same lengths always give the same plan.

    lengths: tokens of each prompt. A batch holds at most `tokens_per_batch` padded tokens and
    PATTERN_CELLS_PER_BATCH pattern cells a layer, but always at least one prompt.

    >>> [batch.members for batch in plan_batches([4, 9, 5, 8], n_heads=1, tokens_per_batch=18)]
    [(1, 3), (0, 2)]
    """
    batches = []
    for start in range(0, len(lengths), WINDOW):
        window = range(start, min(start + WINDOW, len(lengths)))
        members: list[int] = []
        for position in sorted(window, key=lambda position: (-lengths[position], position)):
            width, count = lengths[members[0] if members else position], len(members) + 1
            is_too_wide = count * width > tokens_per_batch
            is_too_large = count * n_heads * width * width > PATTERN_CELLS_PER_BATCH
            if members and (is_too_wide or is_too_large):
                batches.append(_batch(members, lengths))
                members = []
            members.append(position)
        batches.append(_batch(members, lengths))
    return batches


def _batch(members: Sequence[int], lengths: Sequence[int]) -> Batch:
    return Batch(tuple(sorted(members)), max(lengths[position] for position in members))
