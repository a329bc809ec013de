"""How often a similarity's test is wrong: counterparts called where there are none, and missed.

`python -m tests.benchmarks.calibration` prints both tables and writes docs/calibration.json.

- Level: pairs of models without corresponding heads; the share of pairs in which any head is
  called at 5 % family-wise. Unrelated untrained models, and trained models against models whose
  heads cannot be counterparts: a trained one whose keys were dealt to other heads of the layer, one
  whose weights were shuffled, an untrained one.
- Power: each trained model against a copy of itself whose heads were permuted within layers and
  whose weights were disturbed by normal noise, of a share of each matrix's standard deviation.

The models are the stored demo models and untrained ones of their shape; the text is held-out text.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ingest.demo.bundle import MODELS_FOLDER, WEIGHTS_NAME, load_bundle
from ingest.demo.network import Block, Network, Shape
from ingest.demo.text import generate_pairs
from ingest.demo.vocabulary import variant_ids
from ingest.sequence import STEPS, marker_ids
from sql.computed.content_similarity import content_gram, content_products
from sql.computed.gram import PairGram, profile_gram
from sql.computed.head_products import PromptWeights, head_products
from sql.computed.match_test import match_test
from tests.statistics_oracle import profile, profile_sums

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DOCS = Path(__file__).parents[2] / "docs"
LEVEL = 0.05
BINS = 20
N_DRAWS = 1000
N_PROMPTS = 48
TEXT_SEED = 12  # of no model's training text
NOISES = (0.2, 0.5, 0.75, 1.0)
N_NOISE_SEEDS = 5
# Apart from one another and from every seed that starts a model: the same seed would bring back
# the very numbers that a model started from.
FIRST_NOISE_SEED, FIRST_DEAL_SEED, FIRST_UNTRAINED_SEED = 700_000, 800_000, 900_000


@dataclass(frozen=True)
class Attention:
    """What one model attends to: weights `[head, cell]` a prompt, and profiles `[head, bin]`."""

    weights: Sequence[NDArray[np.float32]]
    profiles: Floats


@dataclass(frozen=True)
class Start:
    """A stored model and the seed that its training started from."""

    name: str
    network: Network
    seed: int


class Text:
    """The prompts as the demo models read them."""

    def __init__(self, tokenizer: Tokenizer, n_prompts: int) -> None:
        markers = marker_ids(tokenizer)
        records = generate_pairs("held-out", n_prompts, TEXT_SEED)
        self.ids = [np.array(ids) for ids in variant_ids(tokenizer, records, "standard")]
        self.structural = [np.isin(ids, list(markers.values())) for ids in self.ids]
        self.roles = [  # 0 marker, 1 task, 2 step
            np.where(marks, 0, 1 + (np.cumsum(ids == markers[STEPS]) > 0))
            for ids, marks in zip(self.ids, self.structural, strict=True)
        ]
        self.cells = [np.tril_indices(len(ids)) for ids in self.ids]

    @torch.inference_mode()
    def attention(self, network: Network) -> Attention:
        """Runs a network on all prompts."""
        padded = torch.zeros(len(self.ids), max(map(len, self.ids)), dtype=torch.long)
        for row, ids in enumerate(self.ids):
            padded[row, : len(ids)] = torch.from_numpy(ids)
        stacked = network.patterns(padded).numpy()  # [layer, prompt, head, query, key]
        patterns = [
            stacked[:, row, :, : len(ids), : len(ids)].reshape(-1, len(ids), len(ids))
            for row, ids in enumerate(self.ids)
        ]
        sums, counts = profile_sums(patterns, self.structural, no_sink=False, bins=BINS)
        return Attention(
            [pattern[:, *cells] for pattern, cells in zip(patterns, self.cells, strict=True)],
            profile(sums, counts, np.ones(len(patterns)), centred=False),
        )

    def content(self, a: Attention, b: Attention, layers: Integers) -> PairGram:
        """The pair by content; all prompts are one block."""
        prompts = (
            PromptWeights(
                number,
                np.concatenate([a.weights[number], b.weights[number]]),
                *cells,
                *(self.roles[number][positions] for positions in cells),
            )
            for number, cells in enumerate(self.cells)
        )
        sums = head_products(prompts, dict.fromkeys(range(len(self.cells)), 0))
        heads = np.arange(2 * len(layers))
        first, second = np.split(heads, 2)
        return content_gram(content_products(sums), first, second, np.tile(layers, 2))

    def profile(self, a: Attention, b: Attention, layers: Integers) -> PairGram:
        """The pair by profiles."""
        return profile_gram(a.profiles, b.profiles, layers, layers)


def untrained(shape: Shape, seed: int) -> Network:
    """A network with weights drawn from a seed."""
    network = Network(shape)
    network.initialize(torch.Generator().manual_seed(seed))
    return network.eval()


def keys_dealt(network: Network, seed: int) -> Network:
    """A copy in which no head has its own keys: each layer's go round in a random circle."""
    changed = copy.deepcopy(network)
    generator = np.random.default_rng(seed)
    for block in changed.blocks:
        assert isinstance(block, Block)
        n_heads = block.attention.n_heads
        parts = block.attention.query_key_value.weight.data.view(
            3, n_heads, block.attention.d_head, -1
        )
        circle = generator.permutation(n_heads)
        parts[1, circle] = parts[1, np.roll(circle, 1)].clone()
    return changed


def shuffled(network: Network, seed: int) -> Network:
    """A copy in which the numbers of each parameter stand in random order."""
    changed = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    for parameter in changed.parameters():
        order = torch.randperm(parameter.numel(), generator=generator)
        parameter.data = parameter.data.flatten()[order].view_as(parameter)
    return changed


def disturbed(network: Network, noise: float, seed: int) -> Network:
    """A copy with normal noise on every parameter, `noise` times its standard deviation."""
    changed = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    for parameter in changed.parameters():
        added = torch.randn(parameter.shape, generator=generator)
        parameter.data = parameter.data + noise * parameter.data.std() * added
    return changed


def stored_models(folder: Path) -> tuple[list[Start], Tokenizer]:
    """The demo models of a folder, and the tokenizer that they share."""
    starts = []
    for path in sorted(file.parent for file in folder.glob(f"*/{WEIGHTS_NAME}")):
        network, tokenizer = load_bundle(path)
        bundle = torch.load(path / WEIGHTS_NAME, map_location="cpu", weights_only=True)
        starts.append(Start(path.name, network, bundle["config"]["seed"]))
    return starts, tokenizer


Pairs = Iterator[tuple[Network, Network]]


def null_pairs(starts: Sequence[Start], kind: str, n_pairs: int) -> Pairs:
    """Pairs of models of which no heads correspond; the trained one is a and b in turn."""
    shape = starts[0].network.shape
    changes: dict[str, Callable[[Network, int], Network]] = {
        "keys dealt to other heads": keys_dealt,
        "weights shuffled": shuffled,
        "untrained": lambda network, seed: untrained(network.shape, seed + 50_000),
    }
    # Of different starts where there are: heads of one start keep some of their places.
    couples = [(x, y) for x, y in itertools.permutations(starts, 2) if x.seed != y.seed]
    for number in range(n_pairs):
        if kind == "both untrained":
            seeds = (FIRST_UNTRAINED_SEED + 2 * number + side for side in (0, 1))
            yield tuple(untrained(shape, seed) for seed in seeds)
            continue
        kept, other = couples[number % len(couples)]
        changed = changes[kind](other.network, FIRST_DEAL_SEED + number)
        yield (kept.network, changed) if number // len(couples) % 2 else (changed, kept.network)


KINDS = ("both untrained", "keys dealt to other heads", "weights shuffled", "untrained")
SIMILARITIES = ("profile", "content")
