"""How models run, and how their attention is stored."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.dataset.manifest import PRECISIONS
from ingest.kernel.errors import InputError

DTYPES = ("float32", "bfloat16", "float16")
DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class LoadOptions:
    """device: one of DEVICES; dtype: one of DTYPES; precision: of PRECISIONS, of stored weights.

    Raises: InputError where one is none of these.
    """

    device: str = "auto"
    dtype: str = "float32"
    trust_remote_code: bool = False
    precision: str = "float32"

    def __post_init__(self) -> None:
        known = {"device": DEVICES, "dtype": DTYPES, "precision": tuple(PRECISIONS)}
        for name, choices in known.items():
            if (value := getattr(self, name)) not in choices:
                raise InputError(
                    f"there is no {name} {value!r}", hint=f"choose one of {', '.join(choices)}"
                )
