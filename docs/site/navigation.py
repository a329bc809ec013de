"""The site's navigation: the folders of docs/ in a reader's order, each with what lies there.

A hook of MkDocs. A page that is new is listed without being named here: those named come first, in
this order, the others follow by name. A page's title is its first heading.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

# Folder (or page): heading, and its first pages.
SECTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "tutorial": ("Tutorial", ("head-swap",)),
    "howto": (
        "How to",
        (
            *("install", "look", "own-models", "python", "sql", "cookbook", "ask", "figures"),
            *("effects", "share", "duckdb", "studies"),
        ),
    ),
    "reference": ("Reference", ("commands", "python", "dataset", "relations")),
    "explanation": ("Explanation", ("finding", "statistics", "causality")),
    "log.md": ("Log", ()),
}
# Within folders of a section, in the order in which relations build on one another.
NESTED = (
    *("stored", "parameters", "data", "profiles", "scores"),
    *("similarity", "chance", "groups", "effects"),
)


def on_config(config: Any) -> Any:
    """Gives MkDocs the navigation, before it looks for pages."""
    docs = Path(config["docs_dir"])
    config["nav"] = [{"Home": "index.md"}] + [
        {heading: entries(docs, docs / name, first)} for name, (heading, first) in SECTIONS.items()
    ]
    unlisted = {path.name for path in docs.iterdir() if path.is_dir() or path.suffix == ".md"}
    unlisted -= {"index.md", "pictures", "site", *SECTIONS}
    if unlisted:
        raise ValueError(f"docs/site/navigation.py names no section for {sorted(unlisted)}")
    return config


def entries(docs: Path, place: Path, first: tuple[str, ...] = ()) -> Any:
    """A page as its path; a folder as the list of its pages, with those of its folders."""
    if place.is_file():
        return place.relative_to(docs).as_posix()
    found = {path.stem: path for path in place.iterdir() if path.is_dir() or path.suffix == ".md"}
    index = found.pop("index", None)
    names = sorted(
        found, key=lambda name: (first.index(name) if name in first else len(first), name)
    )
    listed = [entries(docs, found[name], NESTED) for name in names]
    nested = [
        {heading(found[name]): entry} if found[name].is_dir() else entry
        for name, entry in zip(names, listed, strict=True)
    ]
    return ([index.relative_to(docs).as_posix()] if index else []) + nested


def heading(folder: Path) -> str:
    """The title of a folder: the first heading of its index."""
    lines = (folder / "index.md").read_text(encoding="utf-8").splitlines()
    return next(line.removeprefix("# ") for line in lines if line.startswith("# "))
