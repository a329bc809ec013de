"""Attention in files of arrays: `.npz` and `.safetensors` by name, `.pt` as transformers gives it.

Nothing in a file is run: NumPy reads no object arrays here, and torch no types but tensors and what
holds them.
"""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ingest.kernel.errors import InputError
from ingest.transfer.imports.prompt_arrays import PromptArrays, Weights, as_tokens, as_weights

T = TypeVar("T")
# The arrays of a prompt: its weights, and its tokens, of the same number where there are several.
ARRAY, TOKENS = "attention", "tokens"
SUFFIXES = (".npz", ".safetensors", ".pt", ".pth")
_DIGITS = re.compile(r"(\d+)")
_NUMBER = re.compile(r"(?P<name>.+?)(?:_(?P<number>\d{1,9}))?")


def read_array_files(source: Path, array: str = ARRAY) -> list[PromptArrays]:
    """The prompts of a file, or of the files of a folder in the order of their names and numbers.

    array: the name of the arrays, for instance `attention` for `attention_0`, `attention_1`, ...

    Raises: InputError where there is no such file, or one cannot be read.
    """
    paths = [source]
    if source.is_dir():
        found = [path for path in source.iterdir() if path.suffix in SUFFIXES]
        paths = sorted(found, key=lambda path: _in_order(path.name))
        if not paths:
            raise InputError(f"{source} holds no file that ends in {', '.join(SUFFIXES)}")
    elif not source.is_file():
        raise InputError(f"{source} is neither a file nor a folder")
    return [prompt for path in paths for prompt in _READERS[path.suffix](path, array)]


def _in_order(name: str) -> list[tuple[int, int | str]]:
    """Sorts 2 before 10."""
    parts = _DIGITS.split(name)
    return [(1, int(part)) if part.isdigit() else (0, part) for part in parts]


# --- arrays by name -------------------------------------------------------------------------


def _npz(path: Path, array: str) -> Iterator[PromptArrays]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no readable .npz file: {_line(error)}") from error
    yield from _named(path, names, array, partial(_array_of_npz, path), {})


def _array_of_npz(path: Path, name: str) -> Any:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return archive[name]
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, MemoryError, KeyError) as error:
        if "allow_pickle" in str(error):
            raise InputError(
                f"{path}: {name} is a pickle, which could run code; nothing in it was run",
                hint="save arrays of numbers, and tokens as an array of texts",
            ) from error
        raise InputError(f"{path}: {name} cannot be read: {_line(error)}") from error


def _safetensors(path: Path, array: str) -> Iterator[PromptArrays]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            names, texts = list(file.keys()), file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is no readable .safetensors file: {_line(error)}") from error
    yield from _named(path, names, array, partial(_array_of_safetensors, path), texts)


def _array_of_safetensors(path: Path, name: str) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return file.get_tensor(name)
    except (SafetensorError, OSError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: {name} cannot be read: {_line(error)}",
            hint="save weights as float32 or float16",
        ) from error


def _named(
    path: Path,
    names: list[str],
    array: str,
    read: Callable[[str], Any],
    texts: Mapping[str, str],
) -> Iterator[PromptArrays]:
    """The prompts of a file of named arrays; texts: tokens as JSON, by name, beside the arrays."""
    chosen = sorted((name for name in names if _base(name) == array), key=_in_order)
    if not chosen:
        raise InputError(
            f"{path} has no array {array!r} or {array}_0, {array}_1, ...",
            hint=f"it has {', '.join(sorted(names)[:8]) or 'none'}; choose one with --array",
        )
    for name in chosen:
        where = f"{path}, {name}" if len(chosen) > 1 else str(path)
        named = TOKENS + name.removeprefix(array)
        tokens = token_ids = None
        if named in names:
            tokens, token_ids = as_tokens(read(named), where)
        if named in texts:
            tokens, _ = as_tokens(_list_in(texts[named], where), where)
        yield PromptArrays(where, tokens, token_ids, partial(_weights, read, name, where))


def _weights(read: Callable[[str], Any], name: str, where: str) -> Weights:
    return as_weights(read(name), where)


def _base(name: str) -> str:
    """An array's name without the number of its prompt."""
    match = _NUMBER.fullmatch(name)
    return match["name"] if match else name


def _list_in(text: str, where: str) -> list[Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: the tokens in the metadata are not JSON: {error}") from error
    if not isinstance(found, list):
        raise InputError(f"{where}: the tokens in the metadata are not a list")
    return found


# --- what transformers gives ----------------------------------------------------------------


def _pt(path: Path, array: str) -> Iterator[PromptArrays]:
    """A tuple of layers `[batch, head, query, key]`, or a dictionary with it and what was read."""
    content = _load(path)
    given: Mapping[str, Any] = content if isinstance(content, Mapping) else {array: content}
    layers = given.get(array, given.get("attentions"))
    if layers is None:
        raise InputError(
            f"{path} has no {array!r} or 'attentions'",
            hint=f"it has {', '.join(map(str, list(given)[:8])) or 'nothing'}",
        )
    if hasattr(layers, "detach"):
        layers = [layers] if layers.ndim == 3 else list(layers)
    if not isinstance(layers, list | tuple) or not all(hasattr(one, "detach") for one in layers):
        raise InputError(
            f"{path} holds no tuple of tensors, one a layer",
            hint="save what the model gave: torch.save(output.attentions, file)",
        )
    sizes = {len(layer) if layer.ndim == 4 else 1 for layer in layers}
    if len(sizes) != 1:
        raise InputError(f"{path}: the layers hold {sorted(sizes)} prompts, not the same number")
    (n_prompts,) = sizes
    for number in range(n_prompts):
        where = f"{path}, prompt {number}" if n_prompts > 1 else str(path)
        of_prompt = [layer[number : number + 1] if layer.ndim == 4 else layer for layer in layers]
        tokens, _ = _one_of(given.get(TOKENS), number, n_prompts, where)
        _, token_ids = _one_of(given.get("input_ids"), number, n_prompts, where)
        mask = given.get("attention_mask")
        places = None if mask is None else _places(mask, number, n_prompts, where)
        if places is not None:
            tokens, token_ids = _at(places, tokens), _at(places, token_ids)
        is_padded = places is None and n_prompts > 1
        read = partial(_cut, of_prompt, places, where)
        yield PromptArrays(where, tokens, token_ids, read, is_padded)


def _load(path: Path) -> Any:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise InputError(
            f"reading {path} needs torch, which is not installed",
            hint="pip install 'headswap[models]', or save the arrays as .npz",
        ) from error
    from ingest.models.bundle_file import refused_type

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} needs a type that headswap does not load: {refused_type(error)}; nothing in "
            "it was run",
            hint="save the tensors alone: torch.save(output.attentions, file)",
        ) from error
    except Exception as error:  # a damaged file fails in many ways inside torch
        raise InputError(f"{path} is no readable file of torch.save: {_line(error)}") from error


def _one_of(
    content: Any, number: int, n_prompts: int, where: str
) -> tuple[tuple[str, ...] | None, tuple[int, ...] | None]:
    """The tokens of one prompt of a batch."""
    if content is None:
        return None, None
    listed = content.tolist() if hasattr(content, "tolist") else content
    if not isinstance(listed, list | tuple) or not listed:
        raise InputError(f"{where}: the tokens are no list")
    if not isinstance(listed[0], list | tuple):
        listed = [listed]
    if len(listed) != n_prompts:
        raise InputError(f"{where}: tokens of {len(listed)} prompts, attention of {n_prompts}")
    return as_tokens(list(listed[number]), where)


def _places(mask: Any, number: int, n_prompts: int, where: str) -> list[int]:
    """The positions of a prompt that are not padding."""
    listed = mask.tolist() if hasattr(mask, "tolist") else list(mask)
    if len(listed) != n_prompts or not isinstance(listed[number], list):
        raise InputError(f"{where}: the attention_mask is not [batch, position]")
    return [place for place, is_read in enumerate(listed[number]) if is_read]


def _at(places: Sequence[int], tokens: tuple[T, ...] | None) -> tuple[T, ...] | None:
    """The tokens at the places, where there are tokens of the padding as well."""
    if not tokens or len(tokens) <= len(places):
        return tokens
    return tuple(tokens[place] for place in places if place < len(tokens))


def _cut(layers: list[Any], places: list[int] | None, where: str) -> Weights:
    weights = as_weights(layers, where)
    if places is None:
        return weights
    if places and places[-1] >= min(weights.values.shape[2:]):
        raise InputError(
            f"{where}: an attention_mask of {places[-1] + 1} positions or more, but attention of "
            f"the shape {list(weights.values.shape)}"
        )
    return Weights(weights.values[:, :, places][:, :, :, places], weights.dtype)


def _line(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


_READERS: dict[str, Callable[[Path, str], Iterator[PromptArrays]]] = {
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".pt": _pt,
    ".pth": _pt,
}
