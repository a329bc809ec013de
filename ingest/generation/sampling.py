"""How the tokens of a text are chosen: what the random draws are made with."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.kernel.errors import InputError

_MAX_NEW_TOKENS = 1 << 20


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen.

    temperature: what logits are divided by; 0 takes the most probable token. top_k: how many of the
    most probable tokens may be drawn, None for all. max_new_tokens: after which a text is cut.

    Raises: InputError where one is out of its range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    max_new_tokens: int = 256

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 100:  # also where it is not a number
            raise InputError(
                f"the temperature {self.temperature} is not possible", hint="give 0 to 100"
            )
        if self.top_k is not None and self.top_k < 1:
            raise InputError(
                f"--top-k {self.top_k} leaves no token", hint="give 1 or more, or leave it out"
            )
        if not 1 <= self.max_new_tokens <= _MAX_NEW_TOKENS:
            raise InputError(
                f"{self.max_new_tokens} new tokens are not possible",
                hint=f"give 1 to {_MAX_NEW_TOKENS:,}",
            )

    @property
    def label(self) -> str:
        """The settings in one word.

        >>> Sampling().label, Sampling(0.7, 40, 64).label
        ('t1-all-n256', 't0.7-k40-n64')
        """
        tokens = "all" if self.top_k is None else f"k{self.top_k}"
        return f"t{self.temperature:g}-{tokens}-n{self.max_new_tokens}"
