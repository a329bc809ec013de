"""What an import reads, whatever it came from: the attention of one model, prompt by prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingest.kernel.errors import InputError


@dataclass(frozen=True)
class Weights:
    """The attention of one prompt.

    values: `[layer, head, query, key]`, after the softmax, of any floating type of NumPy. dtype:
    the type that they were saved in, which NumPy may lack (bfloat16).
    """

    values: NDArray[Any]
    dtype: str


@dataclass(frozen=True)
class PromptArrays:
    """One prompt of an import.

    where: its place, for messages. tokens: the text of each, None where the source has none.
    token_ids: their numbers, None where the source has none. read: gives its weights. is_padded:
    positions behind the last token are padding, as in a batch.
    """

    where: str
    tokens: tuple[str, ...] | None
    token_ids: tuple[int, ...] | None
    read: Callable[[], Weights]
    is_padded: bool = False

    def weights(self, n_tokens: int) -> Weights:
        """The weights, without what is padding behind the tokens."""
        found = self.read()
        if not self.is_padded:
            return found
        return Weights(found.values[..., :n_tokens, :n_tokens], found.dtype)


def as_weights(content: Any, where: str) -> Weights:
    """The weights of one prompt out of what tools for attention hand around.

    content: an array or tensor `[layer, head, query, key]`, or `[head, query, key]` of one layer
    (CircuitsVis), or a sequence of layers, each `[head, query, key]` or `[1, head, query, key]`
    (BertViz, output_attentions).

    Raises: InputError where it is none of these.
    """
    if isinstance(content, list | tuple):
        layers = [_as_array(layer, where) for layer in content]
        squeezed = [
            values[0] if values.ndim == 4 and len(values) == 1 else values for values, _ in layers
        ]
        shapes = {values.shape for values in squeezed}
        if len(shapes) != 1 or squeezed[0].ndim != 3:
            found = ", ".join(str(list(shape)) for shape in sorted(shapes)) or "none"
            raise InputError(
                f"{where}: layers of the shapes {found} are not of one shape [head, query, key]"
            )
        return Weights(np.stack(squeezed), layers[0][1])
    values, dtype = _as_array(content, where)
    if values.ndim == 3:
        values = values[np.newaxis]
    return Weights(values, dtype)


def _as_array(content: Any, where: str) -> tuple[NDArray[Any], str]:
    """An array and the name of the type that it came in."""
    if hasattr(content, "detach"):  # a tensor, of a torch that need not be imported here
        dtype = str(content.dtype).removeprefix("torch.")
        tensor = content.detach().cpu()
        return (tensor.float() if dtype == "bfloat16" else tensor).numpy(), dtype
    try:
        array = np.asarray(content)
    except ValueError as error:
        raise InputError(f"{where}: no array of numbers: {error}") from error
    return array, array.dtype.name


def as_tokens(content: Any, where: str) -> tuple[tuple[str, ...] | None, tuple[int, ...] | None]:
    """Tokens out of a sequence or array of texts or of numbers: their texts, or their numbers.

    Raises: InputError where they are neither.
    """
    values: list[Any] = content.tolist() if hasattr(content, "tolist") else list(content)
    if values and all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        if not all(0 <= value < 2**31 for value in values):
            raise InputError(f"{where}: a token has a number that none can have")
        return None, tuple(values)
    if not values or not all(isinstance(value, str) for value in values):
        raise InputError(
            f"{where}: the tokens are neither texts nor numbers",
            hint="one text a position, for instance ['Make', ' tea']",
        )
    for value in values:
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(f"{where}: a token holds half a character") from error
    return tuple(values), None


def check_lengths(prompts: Sequence[PromptArrays], others: int, what: str) -> None:
    """Raises InputError where something that comes once a prompt does not."""
    if len(prompts) != others:
        raise InputError(
            f"there is attention of {len(prompts):,} prompts, but {what} {others:,}",
            hint="prompts stand in the same order in both",
        )
