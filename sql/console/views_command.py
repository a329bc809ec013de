"""The command `headswap views`: what can be asked."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ingest.kernel.command_line import json_option
from ingest.kernel.errors import InputError
from sql.console.completion import complete_view

if TYPE_CHECKING:
    from sql.graph.relation import Relation


@click.command
@click.argument(
    "view",
    metavar="[VIEW]",
    required=False,
    help="one view, with its columns (default: all, a line each)",
    shell_complete=complete_view,
)
@json_option("the views")
def command(view: str | None, as_json: bool) -> int:
    """Prints the views, or one view with its columns."""
    from sql.graph.catalog import relations

    if view is not None and view not in relations():
        raise InputError(f"there is no relation {view!r}", hint="`headswap views` lists them")
    chosen = [relations()[view]] if view is not None else list(relations().values())
    if as_json:
        print(json.dumps([asdict(view) for view in chosen]))
    elif view:
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
