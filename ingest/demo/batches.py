"""Token sequences in batches of about equal length, and the loss over them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ingest.demo.network import Network

IGNORED = -100  # a target that is padding and counts for nothing
POOLED_BATCHES = 32


def pad(sequences: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Inputs and next-token targets, each int64 [batch, position].

    >>> pad([[5, 6, 7], [5, 7]], 0)[1].tolist()
    [[6, 7], [7, -100]]
    """
    length = max(map(len, sequences)) - 1
    inputs = torch.full((len(sequences), length), pad_id)
    targets = torch.full((len(sequences), length), IGNORED)
    for row, sequence in enumerate(sequences):
        inputs[row, : len(sequence) - 1] = torch.tensor(sequence[:-1])
        targets[row, : len(sequence) - 1] = torch.tensor(sequence[1:])
    return inputs, targets


def in_batches(sequences: Sequence[Sequence[int]], n_tokens: int) -> list[list[Sequence[int]]]:
    """The sequences by length, in batches that hold n_tokens at most, padding included."""
    batches: list[list[Sequence[int]]] = []
    for sequence in sorted(sequences, key=len):
        if not batches or len(sequence) * (len(batches[-1]) + 1) > n_tokens:
            batches.append([])
        batches[-1].append(sequence)
    return batches


def shuffled_batches(
    sequences: Sequence[Sequence[int]], n_tokens: int, rng: random.Random
) -> Iterator[list[Sequence[int]]]:
    """Batches without end: every pass has another order, and neighbours of another length.

    Sequences are sorted within a pool of some batches only, so that a batch mixes freely.
    """
    mean_length = sum(map(len, sequences)) / len(sequences)
    pool_size = max(1, int(POOLED_BATCHES * n_tokens / mean_length))
    while True:
        order = rng.sample(sequences, len(sequences))
        for start in range(0, len(order), pool_size):
            batches = in_batches(order[start : start + pool_size], n_tokens)
            yield from rng.sample(batches, len(batches))


def batch_loss(network: Network, batch: Sequence[Sequence[int]], pad_id: int) -> Tensor:
    """The mean next-token loss of a batch, in nats a token."""
    inputs, targets = pad(batch, pad_id)
    logits = network(inputs).float()  # [batch, position, d_vocab]
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


@torch.no_grad()
def mean_loss(network: Network, sequences: Sequence[Sequence[int]], pad_id: int) -> float:
    """The next-token loss over all predicted tokens of the sequences, in nats a token."""
    total, n_predicted = 0.0, 0
    for batch in in_batches(sequences, 8192):
        predicted = sum(len(sequence) - 1 for sequence in batch)
        total += float(batch_loss(network, batch, pad_id)) * predicted
        n_predicted += predicted
    return total / n_predicted
