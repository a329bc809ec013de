"""How often a similarity's test is wrong: counterparts called where there are none, and missed.

`python -m tests.benchmarks.calibration` prints both tables and writes
docs/explanation/calibration.json.

- Level: pairs of models without corresponding heads; the share of pairs in which any head is
  called at 5 % family-wise: by the test in both directions, and for comparison by either alone,
  a being the trained model. Unrelated untrained models, and trained models against models whose
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ingest.demo.network import Block, Network, Shape
from ingest.demo.saved_bundle import MODELS_FOLDER, WEIGHTS_NAME, load_bundle
from ingest.demo.text import generate_pairs
from ingest.demo.vocabulary import variant_ids
from ingest.prompts.sequence import STEPS, marker_ids
from sql.computed.matching.content_similarity import content_products
from sql.computed.matching.gram import PairGram, vector_gram
from sql.computed.matching.head_products import PromptWeights, head_products
from sql.computed.matching.match_test import match_test, two_way_match_tests
from sql.computed.matching.whitening import whitened_gram
from tests.support.oracles.profiles import bin_of

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
FIRST_NOISE_SEED, FIRST_CHANGE_SEED, FIRST_UNTRAINED_SEED = 750_000, 850_000, 950_000


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
        return Attention(
            [pattern[:, *cells] for pattern, cells in zip(patterns, self.cells, strict=True)],
            self._profiles(patterns),
        )

    def _profiles(self, patterns: Sequence[NDArray[np.float32]]) -> Floats:
        """Mean structural mass `[head, bin]` of the queries from 1 on."""
        sums, counts = np.zeros((len(patterns[0]), BINS)), np.zeros(BINS)
        for pattern, marks in zip(patterns, self.structural, strict=True):
            n_tokens = len(marks)
            bins = [bin_of(query, n_tokens, BINS) for query in range(1, n_tokens)]
            place = np.eye(BINS)[bins]  # [query, bin]
            sums += pattern[:, 1:, marks].sum(axis=-1, dtype=np.float64) @ place
            counts += place.sum(axis=0)
        return np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)

    def content(self, a: Attention, b: Attention) -> Floats:
        """Inner products of the heads of both by content; all prompts are one block."""
        prompts = (
            PromptWeights(
                number,
                np.concatenate([a.weights[number], b.weights[number]]),
                *cells,
                *(self.roles[number][positions] for positions in cells),
            )
            for number, cells in enumerate(self.cells)
        )
        return content_products(head_products(prompts, dict.fromkeys(range(len(self.cells)), 0)))

    def grams(self, a: Attention, b: Attention, layers: Integers) -> dict[str, PairGram]:
        """The pair by every similarity. layers: `[head]`, of either model."""
        first, second = np.split(np.arange(2 * len(layers)), 2)
        both = np.tile(layers, 2)
        profiles = np.concatenate([a.profiles, b.profiles])
        return {
            "profile": vector_gram(a.profiles, b.profiles, layers, layers),
            "profile_whitened": whitened_gram(profiles @ profiles.T, first, second, both, BINS),
            "content": whitened_gram(self.content(a, b), first, second, both),
        }


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
    """The demo models of a folder with a start of their own, and the tokenizer that they share."""
    starts = []
    for path in sorted(file.parent for file in folder.glob(f"*-[0-9]/{WEIGHTS_NAME}")):
        network, tokenizer = load_bundle(path)
        bundle = torch.load(path / WEIGHTS_NAME, map_location="cpu", weights_only=True)
        starts.append(Start(path.name, network, bundle["config"]["seed"]))
    return starts, tokenizer


def changed_pairs(
    starts: Sequence[Start], kind: str, n_pairs: int
) -> Iterator[tuple[Start, Network]]:
    """Stored models, each with another of which no head corresponds to one of its heads."""
    # Of different starts where there are: heads of one start keep some of their places.
    couples = [(x, y) for x, y in itertools.permutations(starts, 2) if x.seed != y.seed]
    for number in range(n_pairs):
        kept, other = couples[number % len(couples)]
        yield kept, CHANGES[kind](other.network, FIRST_CHANGE_SEED + number)


CHANGES: dict[str, Callable[[Network, int], Network]] = {
    "keys dealt to other heads": keys_dealt,
    "weights shuffled": shuffled,
    "untrained": lambda network, seed: untrained(network.shape, seed),
}
SIMILARITIES = ("profile", "profile_whitened", "content")


class Calibration:
    """Level and power on one text."""

    def __init__(self, starts: Sequence[Start], text: Text) -> None:
        self.starts, self.text = starts, text
        shape = starts[0].network.shape
        self.n_layers, self.n_heads = shape.n_layers, shape.n_heads
        self.layers = np.repeat(np.arange(shape.n_layers), shape.n_heads)
        self.attention = {start.name: text.attention(start.network) for start in starts}

    def level(self, n_untrained: int, n_changed: int) -> Iterator[dict[str, Any]]:
        """The lowest p_family of every pair, in a row a kind of pair, similarity and test."""
        shape = self.starts[0].network.shape
        lowest = []
        for seed in progress("both untrained", FIRST_UNTRAINED_SEED, n_untrained, step=2):
            a, b = (self.text.attention(untrained(shape, seed + side)) for side in (0, 1))
            lowest.append(self._lowest(a, b, seed))
        yield from _level_rows("both untrained", lowest)
        for kind in CHANGES:
            lowest = []
            pairs = changed_pairs(self.starts, kind, n_changed)
            for seed, (start, network) in zip(progress(kind, 0, n_changed), pairs, strict=True):
                changed = self.text.attention(network)
                lowest.append(self._lowest(self.attention[start.name], changed, seed))
            yield from _level_rows(kind, lowest)

    def _lowest(self, a: Attention, b: Attention, seed: int) -> dict[tuple[str, str], float]:
        """By similarity and test; a is the trained model of a changed pair."""
        found = {}
        for similarity, pair in self.text.grams(a, b, self.layers).items():
            tests = {
                "two ways": two_way_match_tests(pair, N_DRAWS, generator(seed)),
                "a in b": (match_test(pair, N_DRAWS, generator(seed)),),
                "b in a": (match_test(pair.reversed(), N_DRAWS, generator(seed)),),
            }
            for name, results in tests.items():
                lowest = min(float(result.p_family.min()) for result in results)
                found[similarity, name] = lowest
        return found

    def power(self) -> Iterator[dict[str, Any]]:
        """Heads called in noisy copies, in a row a noise and similarity."""
        for noise in NOISES:
            counts: dict[str, list[tuple[int, int, int]]] = {name: [] for name in SIMILARITIES}
            for seed in progress(f"noise {noise:.0%}", FIRST_NOISE_SEED, N_NOISE_SEEDS):
                for start in self.starts:
                    for similarity, count in self._called(start, noise, seed).items():
                        counts[similarity].append(count)
            for similarity, values in counts.items():
                found, wrong, nearest = np.mean(values, axis=0).round(2).tolist()
                yield {
                    "noise": noise,
                    "similarity": similarity,
                    "found": found,
                    "wrong": wrong,
                    "nearest": nearest,
                    "found_in_each": [value[0] for value in values],
                }

    def _called(self, start: Start, noise: float, seed: int) -> dict[str, tuple[int, int, int]]:
        """Heads called and right, called and wrong, and right whether called or not."""
        # The heads are permuted within layers, so that the layers of the copy are layers.
        places = np.concatenate(
            [
                layer * self.n_heads + generator(seed, layer).permutation(self.n_heads)
                for layer in range(self.n_layers)
            ]
        )
        other = self.text.attention(disturbed(start.network, noise, seed))
        other = Attention([weights[places] for weights in other.weights], other.profiles[places])
        counts = {}
        for similarity, pair in self.text.grams(
            self.attention[start.name], other, self.layers
        ).items():
            test, _ = two_way_match_tests(pair, N_DRAWS, generator(seed))
            is_right = places[test.match] == np.arange(len(places))
            is_called = test.p_family <= LEVEL
            counts[similarity] = (
                int((is_called & is_right).sum()),
                int((is_called & ~is_right).sum()),
                int(is_right.sum()),
            )
        return counts


def generator(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def progress(label: str, first: int, n: int, step: int = 1) -> Iterator[int]:
    """n seeds from the first on; says on stderr how far they are."""
    for number in range(n):
        print(f"\r{label}: {number + 1} of {n}", end="", file=sys.stderr, flush=True)
        yield first + step * number
    print(file=sys.stderr)


def _level_rows(
    kind: str, lowest: Sequence[Mapping[tuple[str, str], float]]
) -> Iterator[dict[str, Any]]:
    for similarity, test in lowest[0]:
        p_values = [round(pair[similarity, test], 4) for pair in lowest]
        yield {
            "pairs": kind,
            "similarity": similarity,
            "test": test,
            "n_pairs": len(p_values),
            "share_called": round(float(np.mean(np.array(p_values) <= LEVEL)), 4),
            "lowest_p_family": p_values,
        }


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """Rows as a Markdown table."""
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    lines += [f"| {' | '.join(str(row[name]) for name in columns)} |" for row in rows]
    return "\n".join(lines)


def main() -> int:
    """Prints the tables, writes docs/explanation/calibration.json."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.calibration",
        description="How often the tests of matches are wrong.",
    )
    parser.add_argument("--models", type=Path, default=MODELS_FOLDER, help="the demo models")
    parser.add_argument("--pairs", type=int, default=400, help="pairs of untrained models")
    parser.add_argument("--changed-pairs", type=int, default=64, help="pairs of each other kind")
    parser.add_argument("--prompts", type=int, default=48, help="held-out prompts")
    parser.add_argument(
        "--out", type=Path, default=DOCS / "explanation" / "calibration.json", help="the file"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    starts, tokenizer = stored_models(arguments.models)
    assert all(start.seed < FIRST_NOISE_SEED for start in starts)
    calibration = Calibration(starts, Text(tokenizer, arguments.prompts))
    power = list(calibration.power())
    print(table(power, ("noise", "similarity", "found", "wrong", "nearest")), flush=True)
    level = list(calibration.level(arguments.pairs, arguments.changed_pairs))
    print(table(level, ("pairs", "similarity", "test", "n_pairs", "share_called")))
    settings = {
        "models": [start.name for start in starts],
        "n_prompts": arguments.prompts,
        "n_draws": N_DRAWS,
        "level": LEVEL,
    }
    sections = {"settings": [settings], "power": power, "level": level}
    text = ",\n".join(
        f'"{name}": [\n' + ",\n".join(map(json.dumps, rows)) + "\n]"
        for name, rows in sections.items()
    )
    arguments.out.write_text(f"{{\n{text}\n}}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
