"""The network of a model without the bridge that TransformerLens puts around its modules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from transformer_lens.model_bridge.generalized_components.base import GeneralizedComponent

if TYPE_CHECKING:
    import torch

    from ingest.models.loaded import LoadedModel

    # A module, the name of one of its children, and what stood there.
    _Place = tuple[torch.nn.Module, str, torch.nn.Module | None]


@contextmanager
def plain_network(model: LoadedModel) -> Iterator[Any]:
    """Within, the network's own modules stand where the bridge has put its own; yields the network.

    What is computed is the same, without hook points of the bridge: a step of a small model, which
    is mostly the calling of modules, takes half as long (docs/log.md).
    """
    network: torch.nn.Module = model.bridge.original_model
    bridged: list[_Place] = []
    _put_own(network, bridged, set())
    try:
        yield network
    finally:
        for parent, name, module in bridged:
            parent._modules[name] = module


def _put_own(parent: torch.nn.Module, bridged: list[_Place], seen: set[int]) -> None:
    """Puts a module's own children, and theirs, in place; bridged: takes what was there."""
    if id(parent) in seen:
        return
    seen.add(id(parent))
    for name, child in list(parent._modules.items()):
        own = child
        while isinstance(own, GeneralizedComponent) and own.original_component is not None:
            own = own.original_component
        if own is not child:
            bridged.append((parent, name, child))
            parent._modules[name] = own
        if own is not None:
            _put_own(own, bridged, seen)
