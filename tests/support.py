"""Types and places that several test modules name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

REFERENCE = Path(__file__).parent / "fixtures" / "reference"


@dataclass(frozen=True)
class Reference:
    """What TransformerLens 2.4.1 computed for the two reference bundles, one prompt at a time."""

    patterns: dict[str, list[NDArray[np.float32]]]  # model: one [layer, head, query, key] a prompt
    tokens: list[NDArray[np.int32]]
    marker_ids: dict[str, int]
    head_permutation: list[list[int]]

    @property
    def structural(self) -> list[NDArray[np.bool_]]:
        return [np.isin(tokens, list(self.marker_ids.values())) for tokens in self.tokens]


@dataclass(frozen=True)
class Outcome:
    """What a command left behind: exit code, stdout and stderr."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]
