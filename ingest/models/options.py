"""How models run, and how their attention is stored."""

from __future__ import annotations

from dataclasses import dataclass

DTYPES = ("float32", "bfloat16", "float16")
DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class LoadOptions:
    """device: one of DEVICES; dtype: one of DTYPES; precision: of PRECISIONS, of stored weights."""

    device: str = "auto"
    dtype: str = "float32"
    trust_remote_code: bool = False
    precision: str = "float32"
