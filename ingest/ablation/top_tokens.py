"""The most probable tokens at one place of a prompt, before and after a head is ablated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.ablation.options import ZERO, Head
from ingest.ablation.pipeline import ablator_of, wanted_heads
from ingest.appending import chosen_models, token_ids_of
from ingest.dataset.reader import open_dataset
from ingest.kernel.errors import InputError
from ingest.models.packages import needing_packages

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from ingest.dataset.reader import Dataset
    from ingest.models.loaded import LoadedModel


@dataclass(frozen=True)
class Place:
    """A head of a model, and a place of a prompt; position: counted from the end where below 0."""

    model: str
    head: Head
    prompt_id: int
    position: int = -1


@dataclass(frozen=True)
class TopToken:
    """A token, decoded on its own, and its probability."""

    token_id: int
    token: str
    probability: float


@dataclass(frozen=True)
class TopTokens:
    """The most probable tokens, the most probable first. position: counted from 0."""

    position: int
    before: list[TopToken]
    after: list[TopToken]


@needing_packages()
def top_tokens(
    dataset_path: Path,
    place: Place,
    count: int = 5,
    kind: str = ZERO,
    device: str | None = None,
    now_at: Mapping[str, str] | None = None,
) -> TopTokens:
    """Runs the model on the prompt, whole and ablated; nothing is stored.

    Raises: InputError where the model, the head, the prompt or the position cannot be used.
    """
    dataset = open_dataset(dataset_path)
    (entry,) = chosen_models(dataset, [place.model], now_at or {})
    (head,) = wanted_heads(dataset, entry, [place.head])
    position = _position(dataset, entry.tokenizer, place)
    ablator = ablator_of(dataset, entry, device, now_at or {})
    reading = ablator.reading(place.prompt_id, position)
    (batch,) = ablator.run([reading]).parts
    (after,) = batch.logits(kind, [(head,)])
    whole = batch.before.log_probabilities(batch.whole_logits)
    ablated = batch.before.log_probabilities(after)
    return TopTokens(
        position, _top(ablator.model, whole[0], count), _top(ablator.model, ablated[0], count)
    )


def _position(dataset: Dataset, tokenizer: str, place: Place) -> int:
    prompts = token_ids_of(dataset, tokenizer)
    if place.prompt_id not in prompts:
        raise InputError(
            f"{dataset.path} has no prompt {place.prompt_id}",
            hint="`select prompt_id, task from prompts` lists them",
        )
    length = len(prompts[place.prompt_id])
    if not -length <= place.position < length:
        raise InputError(
            f"prompt {place.prompt_id} has no position {place.position}",
            hint=f"it has the positions 0 to {length - 1}, or -1 to {-length} from its end",
        )
    return place.position % length


def _top(model: LoadedModel, log_probabilities: torch.Tensor, count: int) -> list[TopToken]:
    # Equal ones in the order of their ids, which topk does not promise.
    values, ids = log_probabilities.sort(descending=True, stable=True)
    return [
        TopToken(token_id, model.tokenizer.decode([token_id], skip_special_tokens=False), value)
        for token_id, value in zip(ids[:count].tolist(), values[:count].exp().tolist(), strict=True)
    ]
