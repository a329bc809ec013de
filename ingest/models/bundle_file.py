"""The bundle: `hooked_transformer.pt`, a TransformerLens 2 or 3 state dict with its config.

A bundle is a pickle from anywhere. It is opened only where it is the plain zip archive that
torch.save writes, nothing in it is run, and no tensor may claim more values than the file holds.
"""

from __future__ import annotations

import itertools
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ingest.kernel.errors import InputError

# What real bundles pickle beside tensors: NumPy scalars (attn_scale, initializer_range).
_SCALAR = np.float64(0).__reduce__()[0]
_ALLOWED: list[Any] = [
    (_SCALAR, "numpy.core.multiarray.scalar"),
    _SCALAR,
    np.dtype,
    np.dtypes.Float64DType,
    np.dtypes.Float32DType,
    np.dtypes.Int64DType,
]
_FAMILIES = "headswap maps Llama-like and GPT-2-like bundles only and guesses no other"
_DAMAGED = "the file may be damaged or incomplete; get it again"


def read_bundle(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Reads a bundle without running anything that it carries.

    Returns: its config and its state dict, on the CPU.
    Raises: InputError where the file is damaged, needs a type that is not allowed, lacks a part, or
    declares more than it holds.
    """
    _check_archive(path)
    try:
        with torch.serialization.safe_globals(_ALLOWED):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} needs a type that headswap does not load: {refused_type(error)}",
            hint="a bundle is {'config': dict, 'model_state_dict': tensors}; nothing in it was run",
        ) from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is no readable bundle: {reason}", hint=_DAMAGED) from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no dictionary with 'config' and 'model_state_dict'")
    parts = {name: content.get(name) for name in ("config", "model_state_dict")}
    for name, part in parts.items():
        if not isinstance(part, Mapping):
            raise InputError(f"{path} has no {name!r}, as a TransformerLens 2 bundle would")
    config = {str(key): _plain(value) for key, value in content["config"].items()}
    state = dict(content["model_state_dict"])
    for name, tensor in state.items():
        if not isinstance(tensor, torch.Tensor):
            raise InputError(f"{path}: {name} in 'model_state_dict' is no tensor")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise InputError(
                f"{path}: {name} declares {tensor.numel():,} values, more than the file holds"
            )
    return config, state


def check_config(
    config: Mapping[str, Any], wanted: Mapping[str, Any], family: str, where: Path
) -> None:
    """Holds a bundle's config against what a family's must say; an absent key counts as that.

    Raises: InputError at the first key that says something else.
    """
    for key, value in wanted.items():
        if config.get(key, value) != value:
            raise InputError(
                f"{where}: {key} = {config[key]!r} is not supported (a {family} has {value!r})",
                hint=_FAMILIES,
            )


def whole_number(config: Mapping[str, Any], name: str, where: Path) -> int:
    """A size out of a bundle's config.

    Raises: InputError where it is none.
    """
    value = config.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**31:
        raise InputError(f"{where}: {name} = {value!r} in the config is no positive whole number")
    return value


def check_scale(config: Mapping[str, Any], where: Path) -> None:
    """Raises InputError where scores are divided by anything but the root of d_head."""
    d_head = whole_number(config, "d_head", where)
    scale = config.get("attn_scale", d_head**0.5)
    if abs(float(scale) - d_head**0.5) > 1e-6:
        raise InputError(f"{where}: attn_scale = {scale} is not the root of d_head = {d_head}")


def tied_or_own(unembedding: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
    """The unembedding `[d_vocab, d_model]`: the embedding itself where the two hold the same."""
    transposed = unembedding.T
    return embedding if torch.equal(transposed, embedding) else transposed


class Weights:
    """A bundle's tensors, handed out by name once their shape and values were checked."""

    def __init__(self, state: Mapping[str, torch.Tensor], where: Path) -> None:
        self._state, self._where = state, where
        self._used: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._state

    def take(self, name: str, *shape: int) -> torch.Tensor:
        """A tensor as float32.

        Raises: InputError where it is missing, has another shape, or holds a value that is not
        finite.
        """
        tensor = self._state.get(name)
        if tensor is None:
            raise InputError(f"{self._where}: the weights lack {name}")
        if tuple(tensor.shape) != shape:
            raise InputError(
                f"{self._where}: {name} has the shape {list(tensor.shape)}, "
                f"but the config makes it {list(shape)}"
            )
        if not tensor.isfinite().all():
            raise InputError(f"{self._where}: {name} holds values that are not finite")
        self._used.add(name)
        return tensor.float()

    def check_all_used(self, buffers: frozenset[str], family: str) -> None:
        """Raises InputError where a tensor is left that is neither a buffer nor a bias of zero."""
        for name, tensor in self._left():
            kind = name.rsplit(".", 1)[-1]
            is_zero_bias = kind.startswith("b_") and tensor.count_nonzero() == 0
            if kind not in buffers and not is_zero_bias:
                raise InputError(
                    f"{self._where}: {name} has no place in a {family}",
                    hint=_FAMILIES,
                )

    def _left(self) -> Iterator[tuple[str, torch.Tensor]]:
        return ((name, self._state[name]) for name in self._state if name not in self._used)


def _check_archive(path: Path) -> None:
    """Raises InputError where the file is no zip archive, or unpacks to more than it is."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no readable bundle: {error}", hint=_DAMAGED) from error
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise InputError(
            f"{path} is compressed, as torch.save leaves no file",
            hint="save it again with torch.save",
        )


def _plain(value: Any) -> Any:
    """A config value as JSON can hold it."""
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    return str(value)


def refused_type(error: Exception) -> str:
    """The type's name out of torch's message: `... Unsupported global: GLOBAL os.system ...`."""
    words = str(error).split()
    names = [after for word, after in itertools.pairwise(words) if word == "GLOBAL"]
    return names[0] if names else "one that it does not name"
