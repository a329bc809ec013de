"""What can be chosen of an ablation, read from the command line."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.dataset.relations import ABLATION_KINDS
from ingest.generation.ablated import parse_head
from ingest.kernel.errors import InputError
from ingest.kernel.meant import head_hint

ZERO, MEAN, RESAMPLE = KINDS = ABLATION_KINDS
# A head of a layer, `(layer, head)`.
Head = tuple[int, int]


def parse_heads(arguments: Sequence[str]) -> tuple[Head, ...]:
    """Reads the values of `--head`.

    >>> parse_heads(["L3H5", "L0H1"])
    ((3, 5), (0, 1))

    Raises: InputError where one names no head.
    """
    found = []
    for argument in arguments:
        head = parse_head(argument)
        if head is None:
            raise InputError(f"--head {argument!r} names no head", hint=head_hint(argument))
        found.append(head)
    return tuple(found)


def parse_model_head(argument: str) -> tuple[str, Head]:
    """Reads `MODEL:HEAD`.

    >>> parse_model_head("adhd:L3H5")
    ('adhd', (3, 5))

    Raises: InputError where it is not that.
    """
    model, _, named = argument.rpartition(":")
    head = parse_head(named)
    if not model or head is None:
        raise InputError(
            f"{argument!r} is not MODEL:HEAD", hint="for example adhd:L3H5, head 5 of layer 3"
        )
    return model, head
