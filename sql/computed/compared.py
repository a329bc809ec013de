"""The pairs of models that are compared, as inner products of their heads by any similarity.

Everything is made of sums by block of prompts (`head_products`, `block_profiles`), so that a half
of the prompts, or all but a block, are weights of 0 and 1 over blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sql.computed.head_sums import StoredSums, read_head_products
from sql.computed.matching.content_similarity import content_products
from sql.computed.matching.gram import PairGram, vector_gram
from sql.computed.matching.whitening import whitened_gram
from sql.parameters import CONTENT, PROFILE_WHITENED

if TYPE_CHECKING:
    from sql.session import Inputs

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class BlockProfiles:
    """A model's sums by block: mass `[block, head, bin]`, n_queries `[block, bin]`."""

    mass: Floats
    n_queries: Floats

    def profiles(self, block_weights: Floats, is_centred: bool) -> Floats:
        """Profiles `[draw, head, bin]` of the blocks as `[draw, block]` counts them."""
        n_blocks, n_heads, n_bins = self.mass.shape
        total = (block_weights @ self.mass.reshape(n_blocks, -1)).reshape(-1, n_heads, n_bins)
        counts = (block_weights @ self.n_queries)[:, None, :]
        mean: Floats = np.divide(total, counts, out=np.zeros_like(total), where=counts > 0)
        return mean - mean.mean(axis=1, keepdims=True) if is_centred else mean


@dataclass(frozen=True)
class ComparedPair:
    """Two models that are compared, model_a before model_b by name.

    number: of the pair, for its stream of draws. heads_a, heads_b: `[head, (layer, head)]`.
    """

    number: int
    model_a: str
    model_b: str
    heads_a: Integers
    heads_b: Integers

    @property
    def is_one_shape(self) -> bool:
        return np.array_equal(self.heads_a, self.heads_b)


def comparison_of(inputs: Inputs, needs_content: bool = True) -> Comparison:
    """The comparison of a session, read once for all relations that are computed from it.

    needs_content: whether contents are compared, and not only profiles.
    """
    reads = ("heads", "models", "pairs", "block_profiles", "parameters")
    if not needs_content:
        return inputs.shared("profiles", lambda: Comparison(inputs, False), reads[:2] + reads[3:])
    return inputs.shared("contents", lambda: Comparison(inputs, True), (*reads, "head_products"))


class Comparison:
    """All that is compared of a dataset; products are made once for all pairs."""

    def __init__(self, inputs: Inputs, needs_content: bool) -> None:
        """needs_content: whether `head_products` is read."""
        rows = inputs.query(
            "select heads.model, models.tokenizer, heads.head_id, heads.layer, heads.head "
            "from heads inner join models on models.model = heads.model order by heads.head_id"
        ).fetchall()
        self._tokenizer = {row[0]: row[1] for row in rows}
        self.heads = {
            model: np.array([row[3:] for row in rows if row[0] == model])
            for model in self._tokenizer
        }
        self._ids = {
            model: np.array([row[2] for row in rows if row[0] == model])
            for model in self._tokenizer
        }
        self._layers = np.array([row[3] for row in rows])  # by head_id
        self._bins = inputs.parameters.bins
        self._sums = read_head_products(inputs) if needs_content else {}
        self._profiles = _read_profiles(inputs, self.heads, self._bins)
        self._content: dict[tuple[str, bytes | None], Floats] = {}

    @property
    def n_blocks(self) -> int:
        """Blocks of prompts; 0 where no prompt is analysed."""
        return max((len(own.mass) for own, _ in self._profiles.values()), default=0)

    def pairs(self, inputs: Inputs) -> Iterator[ComparedPair]:
        """Every two models that are compared, once."""
        rows = inputs.query(
            "select model_a, model_b from pairs order by model_a, model_b"
        ).fetchall()
        for number, (a, b) in enumerate(rows):
            if a < b:
                yield ComparedPair(number, a, b, self.heads[a], self.heads[b])

    def has(self, pair: ComparedPair, similarity: str) -> bool:
        """Whether two models can be compared so: content needs the same tokens."""
        tokenizer = self._tokenizer[pair.model_a]
        return self.n_blocks > 0 and (
            similarity != CONTENT
            or (tokenizer == self._tokenizer[pair.model_b] and tokenizer in self._sums)
        )

    def gram(
        self, pair: ComparedPair, similarity: str, block_weights: Floats | None = None
    ) -> PairGram:
        """Inner products of the heads of a pair, ready for cosines.

        block_weights: `[draw, block]`, which gives the matrices a leading axis of draws; None
        counts every block once, without that axis.
        """
        if similarity == CONTENT:
            own = self._sums[self._tokenizer[pair.model_a]]
            first, second = (np.searchsorted(own.head_ids, self._ids[m]) for m in _names(pair))
            products = self._content_products(self._tokenizer[pair.model_a], own, block_weights)
            return whitened_gram(products, first, second, self._layers[own.head_ids])
        a, b = (self.profiles(model, similarity, block_weights) for model in _names(pair))
        layers_a, layers_b = pair.heads_a[:, 0], pair.heads_b[:, 0]
        if similarity != PROFILE_WHITENED:
            return vector_gram(a, b, layers_a, layers_b)
        both = np.concatenate([a, b], axis=-2)
        first, second = np.split(np.arange(both.shape[-2]), [a.shape[-2]])
        products = both @ np.swapaxes(both, -1, -2)
        return whitened_gram(
            products, first, second, np.concatenate([layers_a, layers_b]), self._bins
        )

    def profiles(self, model: str, similarity: str, block_weights: Floats | None = None) -> Floats:
        """Profiles `[draw, head, bin]`, without the axis of draws where there are no weights."""
        own = self._profiles[model]["no_sink" in similarity]
        if block_weights is None:
            once: Floats = self.profiles(model, similarity, np.ones((1, self.n_blocks)))[0]
            return once
        return own.profiles(block_weights, similarity.endswith("_centred"))

    def _content_products(
        self, tokenizer: str, own: StoredSums, block_weights: Floats | None
    ) -> Floats:
        key = (tokenizer, None if block_weights is None else block_weights.tobytes())
        if key not in self._content:
            self._content[key] = content_products(own.sums, block_weights)
        return self._content[key]


def _names(pair: ComparedPair) -> tuple[str, str]:
    return pair.model_a, pair.model_b


def _read_profiles(
    inputs: Inputs, heads: dict[str, Integers], bins: int
) -> dict[str, tuple[BlockProfiles, BlockProfiles]]:
    """Each model's sums, with the weight on key 0 and without."""
    found = {}
    n_blocks = inputs.query(
        "select coalesce(max(block) + 1, 0) as n from block_profiles"
    ).fetchall()
    for model, places in heads.items():
        columns = inputs.query(
            "select heads.head_id - min(heads.head_id) over () as head, block_profiles.block, "
            "block_profiles.bin, block_profiles.n_queries, block_profiles.mass, "
            "block_profiles.mass_no_sink from block_profiles inner join heads "
            "on heads.model = block_profiles.model and heads.layer = block_profiles.layer "
            "and heads.head = block_profiles.head where block_profiles.model = $model",
            {"model": model},
        ).fetchnumpy()
        block, bin_ = columns["block"].astype(int), columns["bin"].astype(int)
        n_queries = np.zeros((n_blocks[0][0], bins))
        n_queries[block, bin_] = columns["n_queries"]
        masses = []
        for name in ("mass", "mass_no_sink"):
            mass = np.zeros((n_blocks[0][0], len(places), bins))
            mass[block, columns["head"].astype(int), bin_] = columns[name]
            masses.append(BlockProfiles(mass, n_queries))
        found[model] = (masses[0], masses[1])
    return found
