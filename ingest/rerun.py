"""Models of a dataset run again: what makes rows of one, a part after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ingest.models.stored import load_stored

if TYPE_CHECKING:
    import pyarrow as pa

    from ingest.dataset.manifest import ModelEntry
    from ingest.dataset.reader import Dataset


class RerunRequest(Protocol):
    """What every request to run models again says; it can be pickled and has fields.

    device: None for the one that a model ran on before. now_at: where models lie now, by name, for
    those that have moved.
    """

    @property
    def device(self) -> str | None: ...

    @property
    def now_at(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class Part:
    """A file that is to be added: its table, and which rows, as the model's `Rerun` knows them."""

    table: str
    which: Any


class Rerun(ABC):
    """One model of a dataset, loaded again.

    A subclass is made of the same arguments, so that another process can make an equal one.
    """

    def __init__(self, dataset: Dataset, entry: ModelEntry, request: RerunRequest) -> None:
        """Raises: InputError where the model is gone, was changed or cannot be used."""
        self.entry = entry
        self.model = load_stored(entry, request.device, request.now_at.get(entry.name))

    @abstractmethod
    def rows(self, part: Part) -> pa.Table:
        """The rows of a part."""
