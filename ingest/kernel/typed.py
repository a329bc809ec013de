"""Values out of JSON and TOML as the types that the code states; what does not fit is named.

The checking is msgspec's. Its messages name a place as a path; here they become errors that hold
the place, so that whoever knows the file can add the line.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
Place = tuple[str | int, ...]

_TYPE_NAMES = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "null": "null",
    "object": "a table of keys",
    "str": "a text",
}
_AT = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_STEP = re.compile(r"\.(?P<key>\w+)|\[(?P<index>\d+)\]|(?P<any_key>\[\.\.\.\])")
_EXPECTED = re.compile(r"Expected `(?P<expected>[\w |]+)`, got `(?P<found>\w+)`")
_MISSING = re.compile(r"Object missing required field `(?P<key>.*)`", re.S)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>.*)`", re.S)


class MismatchError(ValueError):
    """A value that does not have the type that the code states.

    place: the keys and 0-based indices that lead to it, from the outermost value; empty for that
    value itself. reason: what is wrong, to follow a name of the place. known: where the place is a
    key that nothing knows, the keys that are known there.
    """

    def __init__(self, place: Place, reason: str, known: Sequence[str] = ()) -> None:
        super().__init__(f"{path_of(place)!r} {reason}" if place else f"the value {reason}")
        self.place, self.reason, self.known = place, reason, tuple(known)


def convert(content: object, kind: type[T]) -> T:
    """Makes parsed JSON or TOML a value of a type: a frozen dataclass or msgspec.Struct.

    Keys that a dataclass does not have are passed over; a Struct with `forbid_unknown_fields`
    refuses them.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Head:
    ...     layer: int
    >>> convert({"layer": 3, "note": "new"}, Head)
    Head(layer=3)
    >>> convert({"layer": "3"}, Head)
    Traceback (most recent call last):
    ...
    ingest.kernel.typed.MismatchError: 'layer' is a text, not a whole number

    Raises: MismatchError.
    """
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise _mismatch(str(error), content, kind) from error


def decode_json(text: bytes | str, kind: type[T]) -> T:
    """Reads JSON as a value of a type, as `convert` does.

    NaN and infinity are no JSON, and neither is what is nested deeper than Python's stack.

    Raises: MismatchError where the value is of another type; ValueError where it is no JSON.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        raise _mismatch(str(error), msgspec.json.decode(text), kind) from error
    except RecursionError as error:
        raise ValueError("JSON is nested too deeply") from error


def _mismatch(message: str, content: object, kind: type) -> MismatchError:
    at = _AT.search(message)
    what = message[: at.start()] if at else message
    place, kind_there = _locate(at["path"] if at else "", content, kind)
    if match := _EXPECTED.fullmatch(what):
        expected = [name for name in match["expected"].split(" | ") if name != "null"]
        names = " or ".join(map(_type_name, expected))
        return MismatchError(place, f"is {_type_name(match['found'])}, not {names}")
    if match := _MISSING.fullmatch(what):
        return MismatchError((*place, match["key"]), "is missing")
    if match := _UNKNOWN.fullmatch(what):
        known = typing.get_type_hints(kind_there)
        return MismatchError((*place, match["key"]), "is unknown", list(known))
    return MismatchError(place, f"cannot be used: {what}")


def _locate(path: str, content: Any, kind: Any) -> tuple[Place, Any]:
    """The place that msgspec's path names, and the type stated there.

    msgspec writes `[...]` for any key of a mapping: the first entry that is refused is meant.
    """
    place: list[str | int] = []
    for step in _STEP.finditer(path):
        kind = _without_none(kind)
        if step["key"]:
            key: str | int = step["key"]
            kind = typing.get_type_hints(kind)[step["key"]]
        elif step["index"]:
            key, arguments = int(step["index"]), typing.get_args(kind)
            kind = arguments[0] if arguments[-1] is ... or key >= len(arguments) else arguments[key]
        else:
            kind = typing.get_args(kind)[1]
            key = _first_refused(content, kind)
        place.append(key)
        content = content[key]
    return tuple(place), _without_none(kind)


def _first_refused(entries: Mapping[str, object], kind: Any) -> str:
    for key, value in entries.items():
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError:
            return key
    raise AssertionError("a mapping was refused, and none of its values is")


def path_of(place: Sequence[str | int]) -> str:
    """A place as one text.

    >>> path_of(["pairs", 0, "holds"])
    'pairs[0].holds'
    """
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return "".join(steps).removeprefix(".")


def _type_name(name: str) -> str:
    return _TYPE_NAMES.get(name, f"a {name}")


def _without_none(kind: Any) -> Any:
    """The one type of `X | None`; any other type as it is."""
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return next(member for member in typing.get_args(kind) if member is not types.NoneType)
    return kind
