"""The command `headswap views`: what can be asked."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
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
    help="one relation, with its columns (default: all, a line each)",
    shell_complete=complete_view,
)
@json_option("the relations")
def command(view: str | None, as_json: bool) -> int:
    """Prints the relations, or one with its columns."""
    from sql.graph.catalog import declared, relation_hint, relations

    if view is not None and view not in declared():
        is_place = Path(view).exists()
        every = "the relations of every dataset are the same: `headswap views` lists them"
        raise InputError(
            f"there is no relation {view!r}", hint=every if is_place else relation_hint(view)
        )
    if as_json:
        chosen = [relations()[view]] if view is not None else relations().values()
        print(json.dumps([asdict(relation) for relation in chosen]))
    elif view:
        print(view_text(relations()[view]))
    else:
        print(view_list())
    return 0


def view_text(relation: Relation) -> str:
    """A relation explained: what for, one row per what, its columns, what it reads."""
    width = max(len(column.name) for column in relation.columns)
    lines = [f"{relation.name}: {relation.purpose}", f"one row per {', '.join(relation.grain)}", ""]
    lines += [f"{c.name:{width}}  {c.type:9}  {c.meaning}" for c in relation.columns]
    lines += ["", f"reads {', '.join(relation.reads)}"] if relation.reads else []
    made_by = relation.made_by
    lines += ["", f"written by `headswap {made_by}`"] if made_by else []
    return "\n".join(lines)


def view_list() -> str:
    """All relations by subject, a line each."""
    from sql.graph.catalog import declared
    from sql.graph.relation import SUBJECTS

    width = max(map(len, declared()))
    groups = groupby(declared().values(), key=lambda relation: relation.subject)
    return "\n\n".join(
        "\n".join([f"{SUBJECTS[subject]}:", *(f"  {r.name:{width}}  {r.purpose}" for r in members)])
        for subject, members in groups
    )
