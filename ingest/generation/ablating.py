"""Running a model with heads ablated, token after token."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from ingest.ablation.controls import Controls, other_prompts
from ingest.ablation.options import RESAMPLE
from ingest.ablation.replay import Replay
from ingest.generation.ablated import Condition
from ingest.kernel.errors import HeadswapError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ingest.models.loaded import LoadedModel

# Means are taken over the dataset's prompts in batches of so many tokens.
_TOKENS_PER_BATCH = 1024
# Of each prompt that is continued what stands for a head, `[position, d_head]`, by its key.
_Given = Mapping[str, torch.Tensor]


class Ablations:
    """What stands for ablated heads of one model.

    As in `headswap ablate`: zero, nothing; mean, the mean of what the head mixes over all positions
    of the dataset's prompts; resample, what it mixes in another prompt of the dataset at the same
    position, or at that prompt's last one.
    """

    def __init__(
        self,
        model: LoadedModel,
        prompts: Mapping[int, NDArray[np.int32]],
        id_of: Mapping[str, int] | None = None,
    ) -> None:
        """prompts: the token ids of the dataset's prompts; id_of: their numbers, by their keys."""
        self._model, self._prompts, self._id_of = model, prompts, id_of or {}
        self._replay = Replay(model)
        self._controls = Controls(self._replay, prompts, model.n_heads, _TOKENS_PER_BATCH)

    def intervention(self, condition: Condition, prompt_keys: Sequence[str] = ()) -> Intervention:
        """What runs the model with the heads of a condition ablated.

        prompt_keys: of the prompts that are continued, for what differs from one to the other.

        Raises: InputError where the dataset has no other prompt to take from.
        """
        if not condition.heads:
            return Intervention(self._model, {}, {})
        if condition.kind == RESAMPLE:
            return Intervention(self._model, {}, self._of_others(condition, prompt_keys))
        controls = self._controls.for_batch(condition.kind, ())
        same = {place: controls.of(*place).values for place in condition.heads}
        return Intervention(self._model, same, {})

    def _of_others(
        self, condition: Condition, prompt_keys: Sequence[str]
    ) -> dict[tuple[int, int], _Given]:
        """What each head mixes in the prompt that stands for each of some prompts."""
        found: dict[tuple[int, int], dict[str, torch.Tensor]] = {}
        kept: dict[int, list[torch.Tensor]] = {}
        for key in dict.fromkeys(prompt_keys):
            other = self._other_of(key)
            if other not in kept:
                # Alone, so that no other prompt has a part in its last bits.
                mixed = self._replay.whole([self._prompts[other]]).mixed
                kept[other] = [mixed[layer][0, :, head] for layer, head in condition.heads]
            for place, values in zip(condition.heads, kept[other], strict=True):
                found.setdefault(place, {})[key] = values
        return dict(found)

    def _other_of(self, prompt_key: str) -> int:
        """The prompt that stands for one: of a stored prompt that of `headswap ablate`."""
        others = other_prompts(sorted(self._prompts))
        if prompt_key in self._id_of:
            return others[self._id_of[prompt_key]]
        drawn = int.from_bytes(hashlib.sha256(prompt_key.encode()).digest()[:8], "big")
        return sorted(others)[drawn % len(others)]


class Intervention:
    """Heads of a model that something stands for while it runs; none where nothing is given.

    same: what stands for a head wherever it is, `(layer, head)` its key. given: what depends on the
    prompt that is continued and on the position.
    """

    def __init__(
        self,
        model: LoadedModel,
        same: Mapping[tuple[int, int], torch.Tensor],
        given: Mapping[tuple[int, int], _Given],
    ) -> None:
        self._model, self._given = model, given
        self._values = dict(same)
        self._n_forwards = 0
        self._n_replaced: Counter[int] = Counter()  # by layer

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within, the model runs with the heads ablated.

        Raises: HeadswapError where it ran past an output matrix that they write through.
        """
        heads: dict[int, list[int]] = {}
        for layer, head in (*self._values, *self._given):
            heads.setdefault(layer, []).append(head)
        bridge: Any = self._model.bridge
        with ExitStack() as stack:
            for layer, found in heads.items():
                # Reads what the heads mix, one behind the other; it is not a module of the bridge.
                output_matrix = bridge.blocks[layer].attn.o.original_component
                replace = partial(self._replace, layer=layer, heads=found)
                stack.callback(output_matrix.register_forward_pre_hook(replace).remove)
            yield
        for layer in heads:
            if self._n_replaced[layer] != self._n_forwards:
                raise HeadswapError(
                    f"model {self._model.name!r} ran its layer {layer} without a call of the "
                    "matrix that its heads write through",
                    hint="its architecture cannot generate without heads",
                )

    def at(self, prompt_keys: Sequence[str], positions: torch.Tensor) -> None:
        """Says which texts run next: of each the key of its prompt, and `[text, position]`."""
        self._n_forwards += 1
        for place, given in self._given.items():
            rows = []
            for key, where in zip(prompt_keys, positions, strict=True):
                values = given[key]
                rows.append(values[where.clamp(max=len(values) - 1)])
            self._values[place] = torch.stack(rows)

    def _replace(
        self, module: Any, inputs: tuple[torch.Tensor], layer: int, heads: Sequence[int]
    ) -> tuple[torch.Tensor]:
        """A hook that puts values in place of what some heads mix."""
        (mixed,) = inputs
        self._n_replaced[layer] += 1
        changed = mixed.clone(memory_format=torch.contiguous_format)
        by_head = changed.view(*changed.shape[:2], self._model.n_heads, -1)  # the last: d_head
        for head in heads:
            by_head[:, :, head] = self._values[layer, head]
        return (changed,)
