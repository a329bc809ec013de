"""What is ablated while a text is generated: nothing, a head, or several together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.kernel.errors import InputError

NONE = "none"
ALL_HEADS = "all"
_HEAD = re.compile(r"[lL](\d{1,4})[hH](\d{1,4})")


@dataclass(frozen=True)
class Condition:
    """Heads that are ablated together, `(layer, head)` each in order; none for the whole model.

    >>> Condition(((2, 0), (3, 5)), "zero").name
    'L2H0+L3H5'
    """

    heads: tuple[tuple[int, int], ...] = ()
    kind: str = NONE

    @property
    def name(self) -> str:
        return "+".join(f"L{layer}H{head}" for layer, head in self.heads) or NONE


def parse_head(text: str) -> tuple[int, int] | None:
    """Layer and head of `L3H5`, None where a text names no head.

    >>> parse_head("L3H5"), parse_head("H5")
    ((3, 5), None)
    """
    match = _HEAD.fullmatch(text.strip())
    return (int(match[1]), int(match[2])) if match else None


def parse_conditions(arguments: Sequence[str], kind: str) -> tuple[Condition, ...] | None:
    """Reads the values of `--ablate`: `L3H5` each, `L2H0+L3H5`, or `all`; None for all.

    >>> parse_conditions(["L3H5", "L3H5+L2H0"], "zero")[1].heads
    ((2, 0), (3, 5))

    Raises: InputError where one names no heads.
    """
    if ALL_HEADS in arguments:
        if len(arguments) > 1:
            raise InputError(
                f"--ablate {ALL_HEADS} and --ablate {next(a for a in arguments if a != ALL_HEADS)}",
                hint=f"{ALL_HEADS} stands for every head by itself; give pairs in a second run",
            )
        return None
    return tuple(_condition(argument, kind) for argument in arguments)


def _condition(argument: str, kind: str) -> Condition:
    found = [parse_head(part) for part in argument.split("+")]
    heads = {head for head in found if head}
    if None in found or len(heads) < len(found):
        raise InputError(
            f"--ablate {argument!r} names no heads",
            hint=f"write L3H5, L2H0+L3H5 for two together, or {ALL_HEADS} for each by itself",
        )
    return Condition(tuple(sorted(heads)), kind)


def single_heads(n_layers: int, n_heads: int, kind: str) -> tuple[Condition, ...]:
    """Every head of a model by itself."""
    return tuple(
        Condition(((layer, head),), kind) for layer in range(n_layers) for head in range(n_heads)
    )


def check_condition(condition: Condition, model: str, n_layers: int, n_heads: int) -> None:
    """Raises: InputError where the model has no such head."""
    for layer, head in condition.heads:
        check_head(layer, head, model, n_layers, n_heads)


def check_head(layer: int, head: int, model: str, n_layers: int, n_heads: int) -> None:
    """Raises: InputError where the model has no such head."""
    if layer >= n_layers or head >= n_heads:
        raise InputError(
            f"model {model!r} has no head L{layer}H{head}",
            hint=f"it has the layers 0 to {n_layers - 1} and the heads 0 to {n_heads - 1}",
        )
