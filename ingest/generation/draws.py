"""The random draws behind generated text: one stream for each (prompt, seed), whatever the batch.

A token is drawn by the Gumbel-max trick (Gumbel 1954): with a noise g drawn for each token of the
vocabulary, the token with the largest logit / temperature + g has the probability that the softmax
gives it. The noise depends on the prompt, the seed and the step only. So an ablated model and the
whole one draw with the same noise, and their texts part where their logits do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ingest.generation.sampling import Sampling

if TYPE_CHECKING:
    from numpy.typing import NDArray


def noise_of(prompt_key: str, seed: int, n_tokens: int) -> Iterator[NDArray[np.float64]]:
    """The Gumbel noise `[token]` of one text, step by step, without end.

    prompt_key: of the table `prompts`. n_tokens: of the vocabulary.

    >>> first, second = next(noise_of("a", 0, 3)), next(noise_of("a", 0, 3))
    >>> bool((first == second).all()), bool((first == next(noise_of("a", 1, 3))).any())
    (True, False)
    """
    digest = hashlib.sha256(f"{prompt_key} {seed}".encode()).digest()
    stream = np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
    while True:
        yield -np.log(stream.standard_exponential(n_tokens))


def chosen_token(
    logits: NDArray[np.float64],
    noise: NDArray[np.float64],
    sampling: Sampling,
    tolerance: float = 0.0,
) -> tuple[int, bool]:
    """The token that is drawn, and whether it is the same for all logits that lie near these.

    logits, noise: `[token]`. Near: no logit more than half of `tolerance` away. Of equal scores the
    first token is taken.

    >>> nothing = np.zeros(3)
    >>> chosen_token(np.array([1.0, 3.0, 2.0]), nothing, Sampling(), tolerance=0.5)
    (1, True)
    >>> chosen_token(np.array([1.0, 3.0, 2.8]), nothing, Sampling(), tolerance=0.5)
    (1, False)
    """
    temperature = sampling.temperature
    scores = logits / temperature + noise if temperature else logits
    slack = tolerance / temperature if temperature else tolerance
    if sampling.top_k is None or sampling.top_k >= len(logits):
        best = int(np.argmax(scores))
        return best, int((scores >= scores[best] - slack).sum()) == 1
    threshold = np.partition(logits, -sampling.top_k)[-sampling.top_k]
    # Of equal logits at the threshold all may be drawn.
    best = int(np.argmax(np.where(logits >= threshold, scores, -np.inf)))
    rivals = (logits >= threshold - tolerance) & (scores >= scores[best] - slack)
    is_surely_among = int((logits >= logits[best] - tolerance).sum()) <= sampling.top_k
    return best, int(rivals.sum()) == 1 and is_surely_among
