"""What pyproject.toml says that the project needs, and what an install of that brings."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def dependencies(*groups: str) -> list[Requirement]:
    """Requirements of the named groups: ``base`` or the name of an extra."""
    project = pyproject()["project"]
    by_group = {"base": project["dependencies"], **project["optional-dependencies"]}
    return [Requirement(line) for group in groups for line in by_group[group]]


def brought_by(requirements: list[Requirement]) -> set[str]:
    """Canonical names of the packages that an install of the requirements brings, as installed."""
    seen: set[tuple[str, str]] = set()
    # "" stands for a package without extras, so that markers on extras evaluate.
    todo = [(canonicalize_name(r.name), e) for r in requirements for e in {"", *r.extras}]
    while todo:
        name, extra = entry = todo.pop()
        if entry in seen:
            continue
        seen.add(entry)
        try:
            lines = distribution(name).requires or []
        except PackageNotFoundError:
            pytest.fail(f"{name} is required and not installed. Hint: run the tests by `make test`")
        for requirement in map(Requirement, lines):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                child = canonicalize_name(requirement.name)
                todo.extend((child, e) for e in {"", *requirement.extras})
    return {name for name, _ in seen}
