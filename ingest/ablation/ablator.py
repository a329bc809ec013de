"""One model whose heads can be ablated on prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from ingest.ablation.attribution import Estimates, estimates
from ingest.ablation.controls import BatchControls, Controls, other_prompts
from ingest.ablation.effects import Effects, Predictions, joined
from ingest.ablation.readings import Reading, mask_token_of, readings_of
from ingest.ablation.replay import Replay
from ingest.producers.batches import TOKENS_PER_BATCH, plan_batches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.ablation.options import Heads
    from ingest.models.loaded import LoadedModel

# Numbers that are held at once: logits of a batch (float32: 256 MiB), and outputs of all layers.
_NUMBERS_AT_ONCE = 1 << 26
# Padded tokens that run whole together, and in copies. Few enough that prompts of a part are of
# like length: padding would be computed anew for each head. Measured: docs/log.md.
_TOKENS_A_PART, _TOKENS_AT_ONCE = 1 << 9, 1 << 11


class Ablator:
    """Ablates heads of a model on prompts. prompts: the token ids of each, by prompt_id."""

    def __init__(self, model: LoadedModel, prompts: Mapping[int, NDArray[np.int32]]) -> None:
        """Raises: InputError where the model predicts no tokens."""
        self.model, self._prompts = model, dict(sorted(prompts.items()))
        self._mask_token = mask_token_of(model)
        self._replay = Replay(model)
        a_token = max(model.d_vocab, model.n_layers * int(model.bridge.cfg.d_model))
        self._tokens_per_batch = max(1, min(TOKENS_PER_BATCH, _NUMBERS_AT_ONCE // a_token))
        self._controls = Controls(
            self._replay, self._prompts, model.n_heads, self._tokens_per_batch
        )
        self._is_checked = False

    def check_others(self) -> None:
        """Raises: InputError where `resample` has no other prompt to take from."""
        other_prompts(list(self._prompts))

    def batches(self) -> list[list[Reading]]:
        """The readings of all prompts, those together whose rows share files."""
        readings = list(readings_of(self._prompts, self._mask_token))
        lengths = [len(reading.token_ids) for reading in readings]
        plan = plan_batches(lengths, self.model.n_heads, self._tokens_per_batch)
        return [[readings[member] for member in batch.members] for batch in plan]

    def reading(self, prompt_id: int, position: int) -> Reading:
        """The reading of one place of a prompt."""
        for reading in readings_of({prompt_id: self._prompts[prompt_id]}, self._mask_token):
            is_here = reading.positions == position
            if is_here.any():
                ids, targets = reading.token_ids, reading.targets[is_here]
                return Reading(prompt_id, ids, reading.positions[is_here], targets)
        raise ValueError(f"prompt {prompt_id} has no position {position}")

    def run(self, readings: Sequence[Reading]) -> AblatedBatch:
        """Runs readings through the whole model, those of like length together.

        Raises: InputError where the model, run from a layer on, is not itself.
        """
        if not self._is_checked:
            shortest = min(self._prompts.values(), key=len)
            with torch.inference_mode():
                self._replay.check(self._replay.whole([shortest]))
            self._is_checked = True
        parts = [AblatedPart(self._replay, self._controls, part) for part in self._parts(readings)]
        return AblatedBatch(readings, parts)

    def prompt_batches(self) -> list[list[int]]:
        """The prompts by id, those together whose estimates share files."""
        ids = list(self._prompts)
        lengths = [len(self._prompts[prompt_id]) for prompt_id in ids]
        plan = plan_batches(lengths, self.model.n_heads, self._tokens_per_batch)
        return [[ids[member] for member in batch.members] for batch in plan]

    def estimates(self, prompt_ids: Sequence[int], kinds: Sequence[str]) -> Estimates:
        """What attribution patching estimates of each head in some prompts.

        Raises: as `estimates` of `ingest.ablation.attribution`.
        """
        chosen = {prompt_id: self._prompts[prompt_id] for prompt_id in prompt_ids}
        parts = self._parts(list(readings_of(chosen, self._mask_token)))
        return estimates(self._replay, self._controls, parts, prompt_ids, kinds)

    def _parts(self, readings: Sequence[Reading]) -> list[list[Reading]]:
        """Readings of like length, which run together."""
        lengths = [len(reading.token_ids) for reading in readings]
        limit = min(self._tokens_per_batch, _TOKENS_A_PART)
        plan = plan_batches(lengths, self.model.n_heads, limit)
        return [[readings[member] for member in part.members] for part in plan]


class AblatedBatch:
    """Readings that ran through the whole model, and can be run without heads of it."""

    def __init__(self, readings: Sequence[Reading], parts: Sequence[AblatedPart]) -> None:
        self.parts = parts
        places = {
            (reading.prompt_id, position): place
            for place, (reading, position) in enumerate(
                (reading, position)
                for reading in readings
                for position in reading.positions.tolist()
            )
        }
        found = [
            places[reading.prompt_id, position]
            for part in parts
            for reading in part.readings
            for position in reading.positions.tolist()
        ]
        self._order = np.argsort(found)

    def effects(self, kind: str, ablations: Sequence[Heads]) -> list[Effects]:
        """The effects of ablations as AblatedPart.logits has them, places in order of readings."""
        by_part = [part.effects(kind, ablations) for part in self.parts]
        return [joined(effects, self._order) for effects in zip(*by_part, strict=True)]


class AblatedPart:
    """Readings that run together. before: what the whole model predicts; logits: its logits."""

    def __init__(self, replay: Replay, controls: Controls, readings: Sequence[Reading]) -> None:
        self.readings = readings
        self._replay, self._all_controls = replay, controls
        self._controls: dict[str, BatchControls] = {}
        with torch.inference_mode():
            self._kept = replay.whole([reading.token_ids for reading in readings])
            self.before = Predictions(readings, self._kept.logits)

    @property
    def whole_logits(self) -> torch.Tensor:
        """Logits `[sequence, position, token]` of the whole model."""
        return self._kept.logits

    def logits(self, kind: str, ablations: Sequence[Heads]) -> Iterator[torch.Tensor]:
        """Logits `[sequence, position, token]` of each ablation.

        ablations: the heads that each ablates together, in order; all begin in one layer.
        """
        ((layer, _), *_) = ablations[0]
        n_tokens = self._kept.ids.numel()
        n_logits = self._kept.logits.numel()
        together = max(1, min(_NUMBERS_AT_ONCE // n_logits, _TOKENS_AT_ONCE // n_tokens))
        with torch.inference_mode():
            if kind not in self._controls:
                self._controls[kind] = self._all_controls.for_batch(kind, self.readings)
            controls = self._controls[kind]
            for start in range(0, len(ablations), together):
                chosen = [
                    [controls.of(*head) for head in heads]
                    for heads in ablations[start : start + together]
                ]
                yield from self._replay.ablated(self._kept, layer, chosen)

    def effects(self, kind: str, ablations: Sequence[Heads]) -> list[Effects]:
        """The effects of ablations, as `logits` has them."""
        with torch.inference_mode():
            return [self.before.effects(logits) for logits in self.logits(kind, ablations)]
