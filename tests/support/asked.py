"""The queries that stand in the code of pages and functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.support.dependencies import ROOT


def asked_in(folder: str) -> dict[str, str]:
    """The queries in calls of a session's methods, and in a module's constants, by their places."""
    found = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in (*_called(tree), *_constants(tree)):
            found[f"{path.relative_to(ROOT)}:{node.lineno}"] = str(node.value)
    return found


def _called(tree: ast.Module) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("rows", "query", "frame")
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node.args[0]


def _constants(tree: ast.Module) -> Iterator[ast.Constant]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            text = node.value.value
            if isinstance(text, str) and text.lstrip().startswith(
                ("select ", "select\n", "with\n")
            ):
                yield node.value
