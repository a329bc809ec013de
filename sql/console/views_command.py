"""The command `headswap views`: what can be asked."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from ingest.kernel.errors import InputError

if TYPE_CHECKING:
    from sql.graph.relation import Relation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `headswap views`."""
    parser.add_argument(
        "view",
        metavar="VIEW",
        nargs="?",
        help="one view, with its columns (default: all, a line each)",
    )
    parser.add_argument("--json", action="store_true", help="print the views as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Prints the views, or one view with its columns."""
    from sql.graph.catalog import relations

    if arguments.view is not None and arguments.view not in relations():
        raise InputError(
            f"there is no relation {arguments.view!r}", hint="`headswap views` lists them"
        )
    chosen = (
        [relations()[arguments.view]] if arguments.view is not None else list(relations().values())
    )
    if arguments.json:
        print(json.dumps([asdict(view) for view in chosen]))
    elif arguments.view:
        print(view_text(chosen[0]))
    else:
        print(view_list())
    return 0


def view_text(view: Relation) -> str:
    """A view explained: what for, one row per what, its columns, what it is made from."""
    width = max(len(column.name) for column in view.columns)
    lines = [f"{view.name}: {view.purpose}", f"one row per {', '.join(view.grain)}", ""]
    lines += [f"{c.name:{width}}  {c.type:9}  {c.meaning}" for c in view.columns]
    lines += ["", f"made from {', '.join(view.reads)}"] if view.reads else []
    return "\n".join(lines)


def view_list() -> str:
    """All views, a line each."""
    from sql.graph.catalog import relations

    width = max(map(len, relations()))
    return "\n".join(f"{view.name:{width}}  {view.purpose}" for view in relations().values())
