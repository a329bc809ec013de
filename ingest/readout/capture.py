"""One forward a batch of prompts: the residual stream read out after each layer, heads measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ingest.readout.unembedding import check_logits, unembedding_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.models.loaded import LoadedModel

# Logits [position, token] that are held at once (float32: 256 MiB).
_LOGITS_AT_ONCE = 1 << 26


@dataclass(frozen=True)
class PromptTokens:
    """A prompt as a model reads it. positions: those that are read out after each layer."""

    prompt_id: int
    token_ids: NDArray[np.int32]
    positions: NDArray[np.int32]


@dataclass(frozen=True)
class BatchReadout:
    """What one batch of prompts gave, float32; prompts and their positions in order.

    probability: `[layer, class, read position]`. output_norm, direct_logit, value_norm: `[layer,
    head, position]`; direct_logit is NaN at the last position of a prompt, which no token follows.
    """

    prompts: tuple[PromptTokens, ...]
    probability: NDArray[np.float32]
    output_norm: NDArray[np.float32]
    direct_logit: NDArray[np.float32]
    value_norm: NDArray[np.float32]


class Reader:
    """Reads one model out. classes: the token ids of each class, by name."""

    def __init__(self, model: LoadedModel, classes: Mapping[str, Sequence[int]]) -> None:
        """Raises: InputError where the model cannot be read out."""
        self._model, self._classes = model, list(classes.values())
        self._unembedding = unembedding_of(model)
        self._outputs = [_output_matrices(model, layer) for layer in range(model.n_layers)]

    def read(self, prompts: Sequence[PromptTokens]) -> BatchReadout:
        """Runs prompts together.

        Raises: InputError where final norm and unembedding do not give the model's own logits.
        """
        with torch.inference_mode():
            seen = self._run(prompts)
            # The positions of all prompts one after the other, padding left out.
            lengths = [len(prompt.token_ids) for prompt in prompts]
            rows = torch.cat([torch.full((length,), row) for row, length in enumerate(lengths)]).to(
                self._model.device
            )
            places = torch.cat([torch.arange(length) for length in lengths]).to(rows.device)
            starts = np.cumsum([0, *lengths[:-1]])
            read = np.concatenate(
                [start + p.positions for start, p in zip(starts, prompts, strict=True)]
            ).astype(np.int64)
            residuals = [residual[rows, places] for residual in seen.residuals]
            logits = seen.logits[rows, places].float()
            probability = self._probability(residuals, torch.from_numpy(read).to(rows.device))
            check_logits(
                self._model, self._unembedding.logits(residuals[-1]), logits, "the read-out"
            )
            following = torch.from_numpy(
                np.concatenate([np.append(p.token_ids[1:], 0) for p in prompts]).astype(np.int64)
            ).to(rows.device)
            directions = self._unembedding.directions(residuals[-1], following)
            total = (directions * residuals[-1].float()).sum(-1)
            check_logits(
                self._model,
                total + self._unembedding.constants(following),
                logits.gather(1, following[:, None])[:, 0],
                "the sum of direct logit attributions",
            )
            measured = [
                self._measured(layer, z[rows, places], v[rows, places], directions)
                for layer, (z, v) in enumerate(zip(seen.mixed, seen.values, strict=True))
            ]
        output_norm, direct, value_norm = (np.stack(part) for part in zip(*measured, strict=True))
        direct[..., np.cumsum(lengths) - 1] = np.nan
        return BatchReadout(tuple(prompts), probability, output_norm, direct, value_norm)

    def _run(self, prompts: Sequence[PromptTokens]) -> _Seen:
        model = self._model
        width = max(len(prompt.token_ids) for prompt in prompts)
        # Padded on the right, which no query of a causal model sees.
        ids = torch.zeros(len(prompts), width, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt.token_ids)] = torch.from_numpy(prompt.token_ids.astype(np.int64))
        seen = _Seen([], [], [], torch.empty(0))

        def keep(kept: list[torch.Tensor]) -> Callable[..., None]:
            def receive(tensor: torch.Tensor, hook: Any) -> None:
                kept.append(tensor)

            return receive

        hooks = []
        for layer in range(model.n_layers):
            hooks += [
                (f"blocks.{layer}.attn.v.hook_out", keep(seen.values)),
                (f"blocks.{layer}.attn.o.hook_in", keep(seen.mixed)),
                (f"blocks.{layer}.hook_out", keep(seen.residuals)),
            ]
        seen.logits = model.bridge.run_with_hooks(ids.to(model.device), fwd_hooks=hooks)
        return seen

    def _probability(
        self, residuals: Sequence[torch.Tensor], read: torch.Tensor
    ) -> NDArray[np.float32]:
        """The probability of each class `[layer, class, read position]`."""
        found = np.empty((len(residuals), len(self._classes), len(read)), dtype=np.float32)
        step = max(1, _LOGITS_AT_ONCE // self._model.d_vocab)
        for layer, residual in enumerate(residuals):
            for start in range(0, len(read), step):
                chosen = residual[read[start : start + step]]
                probability = self._unembedding.logits(chosen).softmax(-1)
                for number, ids in enumerate(self._classes):
                    summed = probability[:, list(ids)].sum(-1)
                    found[layer, number, start : start + step] = summed.cpu().numpy()
        return found

    def _measured(
        self, layer: int, mixed: torch.Tensor, values: torch.Tensor, directions: torch.Tensor
    ) -> tuple[NDArray[np.float32], ...]:
        """Norm of the output, direct logit and norm of the value of each head, `[head, position]`.

        mixed: `[position, head, d_head]`, values weighted by the pattern. values: `[position, key
        head, d_head]`; neighbouring heads share one where there are fewer of these.
        """
        matrices = self._outputs[layer]
        n_heads = len(matrices)
        values = values.repeat_interleave(n_heads // values.shape[1], dim=1)
        rows: list[list[torch.Tensor]] = [[], [], []]
        for head in range(n_heads):
            written = mixed[:, head].float() @ matrices[head]
            rows[0].append(written.norm(dim=-1))
            rows[1].append((written * directions).sum(-1))
            rows[2].append((values[:, head].float() @ matrices[head]).norm(dim=-1))
        return tuple(torch.stack(part).cpu().numpy() for part in rows)


@dataclass
class _Seen:
    """What hooks saw in one forward, a tensor a layer; logits: `[prompt, position, token]`."""

    residuals: list[torch.Tensor]
    mixed: list[torch.Tensor]
    values: list[torch.Tensor]
    logits: torch.Tensor


def _output_matrices(model: LoadedModel, layer: int) -> torch.Tensor:
    """What turns each head's mixed values into what it writes, `[head, d_head, d_model]`, float32.

    Seen from what the module does to the unit vectors, whichever way round it stores its weights.
    """
    bridge: Any = model.bridge
    module = bridge.blocks[layer].attn.o.original_component
    weight = module.weight
    n_rows = weight.numel() // int(bridge.cfg.d_model)
    units = torch.eye(n_rows, dtype=weight.dtype, device=weight.device)
    with torch.inference_mode():
        matrix: torch.Tensor = module(units).float() - module(0 * units[:1]).float()
    return matrix.reshape(bridge.cfg.n_heads, -1, matrix.shape[-1])
