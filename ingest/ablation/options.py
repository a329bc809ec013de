"""What can be chosen of an ablation, read from the command line."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.dataset.relations import ABLATION_KINDS
from ingest.generation.ablated import parse_head
from ingest.kernel.errors import InputError
from ingest.kernel.meant import head_hint

ZERO, MEAN, RESAMPLE = KINDS = ABLATION_KINDS
# exact: the model runs without the head. attribution: a gradient estimates what that would change.
EXACT, ATTRIBUTION = METHODS = ("exact", "attribution")
# A head of a layer, `(layer, head)`; those that are ablated together, in order.
Head = tuple[int, int]
Heads = tuple[Head, ...]
ALL_PAIRS = "all"


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


def parse_pairs(arguments: Sequence[str]) -> tuple[Heads, ...] | None:
    """Reads the values of `--pairs`: `L3H0+L3H5` each, or `all`; None for all.

    >>> parse_pairs(["L3H5+L3H0"])
    (((3, 0), (3, 5)),)

    Raises: InputError where one names no two heads.
    """
    if ALL_PAIRS in arguments:
        return None
    pairs = []
    for argument in arguments:
        found = {parse_head(part) for part in argument.split("+")}
        heads = sorted(head for head in found if head is not None)
        if len(found) != 2 or len(heads) != 2:
            raise InputError(
                f"--pairs {argument!r} names no two heads",
                hint=f"write L3H0+L3H5, or {ALL_PAIRS} for every two of those that --head names",
            )
        pairs.append(tuple(heads))
    return tuple(pairs)


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
