"""The reference page of `import headswap`, from its signatures and docstrings."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

import headswap

_INTRODUCTION = """\
# Python

```python
import headswap

with headswap.open("demo/dataset") as data:
    data.sql("select * from verdicts order by p_family limit 5")
    data.figure("profiles")
    data.head("standard:L3H5")
```

Results show themselves in Jupyter and marimo. The import loads next to nothing: DuckDB comes with
the first dataset, torch with the first model. What is not named here may change.
"""
# What a name stands for that is no function of a reader's.
_OF_THE_COMMAND = {"COMMANDS", "__version__", "command_line", "main"}
_WIDTH = 88


def python_page() -> str:
    """The page: functions, then the classes that they give, then what they raise."""
    public = {name: getattr(headswap, name) for name in headswap.__all__}
    functions = {
        name: value
        for name, value in public.items()
        if inspect.isfunction(value) and name not in _OF_THE_COMMAND
    }
    ordered = sorted(functions.items(), key=lambda item: item[1].__code__.co_firstlineno)
    errors = {name: value for name, value in public.items() if inspect.isclass(value)}
    parts = [_INTRODUCTION]
    for name, function in ordered:
        parts.append(f"## headswap.{name}\n\n{_called(f'headswap.{name}', function)}")
    for kind in classes():
        parts.append(f"## {kind.__name__}\n\n{_words(inspect.getdoc(kind))}")
        for name, member in vars(kind).items():
            if name.startswith("_"):
                continue
            found: Any = inspect.unwrap(getattr(member, "fget", getattr(member, "func", member)))
            if inspect.isfunction(found) and inspect.getdoc(found):
                text = (
                    _called(name, found)
                    if inspect.isfunction(member)
                    else f"`{name}`{_of_type(found)}\n\n{_words(inspect.getdoc(found))}"
                )
                parts.append(f"### {kind.__name__}.{name}\n\n{text}")
    parts.append("## Errors\n")
    parts.append("| | |\n|---|---|")
    parts += [f"| `headswap.{name}` | {_first_line(kind)} |" for name, kind in errors.items()]
    return "\n".join(parts) + "\n"


def classes() -> list[type]:
    """The classes of the package, in the order of its modules."""
    found: list[type] = []
    for module in pkgutil.iter_modules(headswap.__path__, "headswap."):
        if module.name.endswith("__main__"):
            continue
        members = vars(importlib.import_module(module.name)).values()
        found += [
            kind
            for kind in members
            if inspect.isclass(kind)
            and kind.__module__ == module.name
            and not kind.__name__.startswith("_")
        ]
    return sorted(found, key=lambda kind: (kind.__module__, kind.__name__ != "Dataset"))


def _called(name: str, function: Callable[..., Any]) -> str:
    """A function as it is called, and its words."""
    signature = inspect.signature(function)
    shown = [p for p in signature.parameters.values() if p.name != "self"]
    text = _unquoted(str(signature.replace(parameters=shown)))
    if len(name + text) > _WIDTH:
        words, star = [], False
        for parameter in shown:
            if parameter.kind is parameter.KEYWORD_ONLY and not star:
                if all(p.kind is not p.VAR_POSITIONAL for p in shown):
                    words.append("*")
                star = True
            words.append(_unquoted(str(parameter)))
        end = text.rpartition(")")[2]
        text = "(\n    " + ",\n    ".join(words) + f",\n){end}"
    words_of_it = _words(inspect.getdoc(function)) + _choices(function, text)
    return f"```text\n{name}{text}\n```\n\n{words_of_it}"


def _choices(function: Callable[..., Any], signature: str) -> str:
    """What the names of choices in a signature stand for."""
    return "".join(
        f"\n`{name}`: one of {', '.join(f'`{choice}`' for choice in get_args(value))}.\n"
        for name, value in vars(inspect.getmodule(function)).items()
        if get_origin(value) is Literal and re.search(rf"\b{name}\b", signature)
    )


def _of_type(function: Callable[..., Any]) -> str:
    kind = inspect.signature(function).return_annotation
    return f": `{kind}`" if isinstance(kind, str) else ""


def _unquoted(text: str) -> str:
    """Annotations without the quotes that stand for their not having been evaluated.

    >>> _unquoted("(a: 'str' = 'auto') -> 'int'")
    "(a: str = 'auto') -> int"
    """
    return re.sub(r"(: |-> )'((?:[^']|'(?=[^,)=\\n]*'))*?)'", r"\1\2", text)


def _words(documentation: str | None) -> str:
    """A docstring as Markdown."""
    return re.sub(r"\n+(Raises|Returns):", r"\n\n**\1**:", documentation or "") + "\n"


def _first_line(kind: type) -> str:
    return (inspect.getdoc(kind) or "").partition("\n")[0]
