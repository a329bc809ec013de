"""The command `headswap views`: what can be asked."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from ingest.dataset.errors import InputError


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
    from sql.catalog import views

    if arguments.view and arguments.view not in views():
        raise InputError(f"there is no view {arguments.view!r}", hint="`headswap views` lists them")
    chosen = [views()[arguments.view]] if arguments.view else list(views().values())
    if arguments.json:
        print(json.dumps([asdict(view) for view in chosen]))
    elif arguments.view:
        (view,) = chosen
        print(f"{view.name}: {view.purpose}\none row per {', '.join(view.grain)}\n")
        width = max(len(column.name) for column in view.columns)
        for column in view.columns:
            print(f"{column.name:{width}}  {column.type:9}  {column.meaning}")
        if view.reads:
            print(f"\nmade from {', '.join(view.reads)}")
    else:
        width = max(map(len, views()))
        for view in chosen:
            print(f"{view.name:{width}}  {view.purpose}")
    return 0
