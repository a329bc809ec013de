"""The statistics once more in plain numpy, written from their definitions.

Shapes: patterns are one `[head, query, key]` a prompt, heads flat (layer * n_heads + head);
profiles are `[head, bin]`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tests.support.oracles.profiles import bin_of

Floats = NDArray[np.float64]


def profile_sums(
    patterns: Sequence[Floats],
    structural: Sequence[NDArray[np.bool_]],
    no_sink: bool,
    bins: int = 20,
) -> tuple[Floats, Floats]:
    """Sums of structural mass `[prompt, head, bin]` and numbers of queries `[prompt, bin]`."""
    sums = np.zeros((len(patterns), len(patterns[0]), bins))
    counts = np.zeros((len(patterns), bins))
    for prompt, (pattern, marks) in enumerate(zip(patterns, structural, strict=True)):
        counted = marks.copy()
        if no_sink:
            counted[0] = False
        n_tokens = pattern.shape[-1]
        for query in range(1, n_tokens):
            bin_ = bin_of(query, n_tokens, bins)
            counts[prompt, bin_] += 1
            sums[prompt, :, bin_] += pattern[:, query, counted].sum(axis=-1)
    return sums, counts


def profile(sums: Floats, counts: Floats, drawn: Floats, centred: bool) -> Floats:
    """`[head, bin]`, each prompt counted as often as `drawn [prompt]` says."""
    total, number = np.tensordot(drawn, sums, axes=1), drawn @ counts
    mean = np.divide(total, number, out=np.zeros_like(total), where=number > 0)
    return mean - mean.mean(axis=0) if centred else mean


def cosines(a: Floats, b: Floats) -> Floats:
    """`[head of a, head of b]` from rows of any length; 0 where a row is 0 everywhere."""
    norms = np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    return np.divide(a @ b.T, norms, out=np.zeros_like(norms), where=norms > 0)


def similarities(
    a: Sequence[Floats], b: Sequence[Floats], structural: Sequence[NDArray[np.bool_]]
) -> dict[str, Floats]:
    """Every similarity of profiles that is not whitened, `[head of a, head of b]`."""
    found = {}
    once = np.ones(len(a))
    for no_sink, suffix in ((False, ""), (True, "_no_sink")):
        for centred, ending in ((False, ""), (True, "_centred")):
            profiles = [
                profile(*profile_sums(m, structural, no_sink), once, centred) for m in (a, b)
            ]
            found[f"profile{suffix}{ending}"] = cosines(*profiles)
    return found


def head_scores(
    patterns: Sequence[Floats],
    token_ids: Sequence[Sequence[int]],
    structural: Sequence[NDArray[np.bool_]],
    roles: Sequence[Sequence[str]],
    steps: Sequence[Sequence[int | None]],
) -> dict[str, tuple[Floats, int]]:
    """Each score's sum over eligible queries `[head]` and their number, by loops."""
    found: dict[str, tuple[Floats, int]] = {}

    def add(score: str, values: Floats) -> None:
        total, number = found.get(score, (np.zeros(len(values)), 0))
        found[score] = (total + values, number + 1)

    for prompt, pattern in enumerate(patterns):
        ids, step = token_ids[prompt], steps[prompt]
        marks, role = structural[prompt], np.array(roles[prompt])
        for query in range(1, pattern.shape[-1]):
            row = pattern[:, query]
            keys = np.arange(len(ids))
            add("previous_token", row[:, query - 1])
            add("current_token", row[:, query])
            add("first_token", row[:, 0])
            add("entropy", -(row * np.log2(np.where(row > 0, row, 1))).sum(axis=1))
            add("distance", (row * abs(query - keys)).sum(axis=1))
            add("structural", row[:, marks].sum(axis=1))
            for name in ("marker", "task", "step"):
                add(name, row[:, role == name].sum(axis=1))
            same = [key for key in range(query) if ids[key] == ids[query]]
            after = [key + 1 for key in same if key + 1 < query]
            again = [key for key in range(1, query) if ids[key] == ids[0]]
            if again:
                add("first_token_again", row[:, again].sum(axis=1))
            if same:
                add("duplicate_token", row[:, same].sum(axis=1))
            if after:
                add("induction", row[:, after].sum(axis=1))
            own = step[query]
            if own is not None:
                in_step = np.array([other == own for other in step])
                add("own_step", row[:, in_step].sum(axis=1))
            if own:
                in_step = np.array([other == own - 1 for other in step])
                add("previous_step", row[:, in_step].sum(axis=1))
    return found
