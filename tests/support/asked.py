"""The queries that stand in the code of pages and functions."""

from __future__ import annotations

import ast

from tests.support.dependencies import ROOT


def asked_in(folder: str) -> dict[str, str]:
    """The queries in calls of a session's methods, by their places."""
    found = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("rows", "query", "frame")
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                found[f"{path.relative_to(ROOT)}:{node.lineno}"] = str(node.args[0].value)
    return found
