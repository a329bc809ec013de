"""Sampling text from a model, many texts together, each as if it were alone.

Keys and values of earlier tokens are kept, so that a step computes one position a text. Texts of a
batch share matrix products, and so the last bits of a logit depend on who else is in the batch.
That must not decide a token: where the draw is so close that it could, the logits are computed
again from the whole text alone, which no batch changes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import DynamicCache

from ingest.generation.ablating import Intervention
from ingest.generation.draws import chosen_token, noise_of
from ingest.kernel.errors import HeadswapError, InputError
from ingest.models.plain import plain_network

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.generation.sampling import Sampling
    from ingest.models.loaded import LoadedModel

# Up to so many parameters the products of a step are done before a second thread has begun, and on
# a busy processor waiting for it takes most of the time (docs/log.md).
_ONE_THREAD_UP_TO = 5_000_000


@dataclass(frozen=True)
class Job:
    """One text to be generated.

    prompt_key, seed: what its random draws depend on. context: token ids before it. end_ids: the
    tokens that end it.
    """

    prompt_key: str
    seed: int
    context: tuple[int, ...]
    end_ids: frozenset[int]


@dataclass(frozen=True)
class Generated:
    """The tokens of one text, without its context; is_complete: it was ended by an end token."""

    token_ids: tuple[int, ...]
    is_complete: bool


@dataclass
class _Text:
    """A text that is under way."""

    number: int
    job: Job
    noise: Iterator[NDArray[np.float64]] | None = None
    new: list[int] = field(default_factory=list)

    def next_noise(self, n_tokens: int) -> NDArray[np.float64]:
        if self.noise is None:
            self.noise = noise_of(self.job.prompt_key, self.job.seed, n_tokens)
        return next(self.noise)

    def is_ended(self, limit: int) -> bool:
        return len(self.new) >= limit or self.is_complete

    @property
    def is_complete(self) -> bool:
        return bool(self.new) and self.new[-1] in self.job.end_ids


class Decoder:
    """Generates texts with one model. n_recomputed: tokens whose logits were computed again."""

    def __init__(
        self,
        model: LoadedModel,
        sampling: Sampling,
        batch_size: int,
        intervention: Intervention | None = None,
    ) -> None:
        """intervention: what is done to the model while it runs, None for nothing.

        Raises: InputError where the model cannot generate text.
        """
        check_generates(model)
        self._model, self._sampling, self._batch_size = model, sampling, batch_size
        self._intervention = intervention or Intervention(model, {}, {})
        self._network: Any = model.bridge.original_model
        # Some architectures number positions themselves, some give the logits of all of them.
        self._takes = inspect.signature(self._network.forward).parameters
        self._relative_tolerance = float(torch.finfo(getattr(torch, model.dtype)).eps) ** 0.5
        self.n_recomputed = 0

    def generate(
        self, jobs: Sequence[Job], on_text: Callable[[Generated], None] = lambda _: None
    ) -> list[Generated]:
        """The texts of jobs, in their order. on_text: called as each is done, in any order.

        Each context must have been through `check_context`.

        Raises: HeadswapError where the batch's arithmetic is too far from that of a text alone.
        """
        done: dict[int, Generated] = {}
        with (
            torch.inference_mode(),
            _few_threads(self._model),
            self._intervention.running(),
            plain_network(self._model),
        ):
            for start in range(0, len(jobs), self._batch_size):
                batch = list(enumerate(jobs))[start : start + self._batch_size]
                for number, text in self._generate_batch(batch):
                    done[number] = text
                    on_text(text)
        return [done[number] for number in range(len(jobs))]

    def _generate_batch(self, batch: Sequence[tuple[int, Job]]) -> Iterator[tuple[int, Generated]]:
        texts = [_Text(number, job) for number, job in batch]
        device = self._model.device
        width = max(len(text.job.context) for text in texts)
        # Padded on the left, so that all texts grow at the same place.
        ids = torch.zeros(len(texts), width, dtype=torch.long)
        mask = torch.zeros(len(texts), width, dtype=torch.long)
        for row, text in enumerate(texts):
            ids[row, width - len(text.job.context) :] = torch.tensor(text.job.context)
            mask[row, width - len(text.job.context) :] = 1
        ids, mask = ids.to(device), mask.to(device)
        cache = DynamicCache(config=self._network.config)
        while texts:
            logits = self._next_logits(texts, ids, mask, cache)
            for text, row in zip(texts, logits, strict=True):
                text.new.append(self._token(text, row))
            kept = [row for row, text in enumerate(texts) if not text.is_ended(self._limit(text))]
            for row, text in enumerate(texts):
                if row not in kept:
                    yield text.number, Generated(tuple(text.new), text.is_complete)
            if len(kept) < len(texts):
                texts = [texts[row] for row in kept]
                rows = torch.tensor(kept, dtype=torch.long, device=device)
                mask = mask[rows]
                cache.batch_select_indices(rows)
            ids = torch.tensor([[text.new[-1]] for text in texts], device=device)
            mask = torch.cat([mask, mask.new_ones(len(texts), 1)], 1)

    def _next_logits(
        self,
        texts: Sequence[_Text],
        ids: torch.Tensor,
        mask: torch.Tensor,
        cache: DynamicCache,
    ) -> NDArray[np.float64]:
        """The logits `[text, token]` after the given tokens `[text, position]` of texts.

        mask: `[text, position]`, of these tokens and of those in the cache.
        """
        positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        self._intervention.at([text.job.prompt_key for text in texts], positions)
        return self._last_logits(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        )

    def _token(self, text: _Text, logits: NDArray[np.float64]) -> int:
        """The next token of a text, the same in every batch."""
        if not np.isfinite(logits).all():
            raise InputError(
                f"model {self._model.name!r} gives logits that are not finite",
                hint="its weights are damaged, or overflow in this dtype",
            )
        noise = text.next_noise(len(logits))
        tolerance = self._relative_tolerance * max(1.0, float(np.abs(logits).max()))
        token, is_certain = chosen_token(logits, noise, self._sampling, tolerance)
        if is_certain:
            return token
        self.n_recomputed += 1
        alone = self._logits_alone(text)
        if (distance := float(np.abs(alone - logits).max())) > tolerance / 2:
            raise HeadswapError(
                f"model {self._model.name!r}: logits of a batch differ by {distance:.1e} from "
                f"those of a text alone, more than the {tolerance / 2:.1e} that is allowed for",
                hint="the text would depend on its batch; ingest the model in float32",
            )
        return chosen_token(alone, noise, self._sampling)[0]

    def _logits_alone(self, text: _Text) -> NDArray[np.float64]:
        """The logits `[token]` after a text that is run by itself, without a cache."""
        ids = torch.tensor([[*text.job.context, *text.new]], device=self._model.device)
        positions = torch.arange(ids.shape[1], device=ids.device)[None]
        self._intervention.at([text.job.prompt_key], positions)
        alone: NDArray[np.float64] = self._last_logits(input_ids=ids, use_cache=False)[0]
        return alone

    def _last_logits(self, **arguments: Any) -> NDArray[np.float64]:
        """The logits `[text, token]` of the last position, from one forward."""
        arguments["logits_to_keep"] = 1
        taken = {name: value for name, value in arguments.items() if name in self._takes}
        logits = self._network(**taken).logits[:, -1]
        found: NDArray[np.float64] = logits.float().cpu().numpy().astype(np.float64)
        return found

    def _limit(self, text: _Text) -> int:
        """Most new tokens of a text: what was asked for, and what the model can read back."""
        room = self._model.n_ctx - len(text.job.context)
        return min(self._sampling.max_new_tokens, room)


@contextmanager
def _few_threads(model: LoadedModel) -> Iterator[None]:
    before = torch.get_num_threads()
    if model.device == "cpu" and model.n_parameters <= _ONE_THREAD_UP_TO:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_context(model: LoadedModel, token_ids: Sequence[int], where: str) -> None:
    """Raises: InputError where a context holds no token, or leaves no room for another."""
    if not token_ids:
        raise InputError(f"{where}: the tokenizer of {model.name!r} makes no token of it")
    if len(token_ids) >= model.n_ctx:
        raise InputError(
            f"{where}: {len(token_ids)} tokens leave model {model.name!r}, which reads at most "
            f"{model.n_ctx}, no room to generate",
            hint="shorten the prompt, or leave it out",
        )


def check_generates(model: LoadedModel) -> None:
    """Raises: InputError where a model does not predict the next token."""
    if not model.is_causal:
        raise InputError(
            f"model {model.name!r} ({model.architecture}) cannot generate text: it is an encoder",
            hint="name models that predict the next token with --model",
        )
