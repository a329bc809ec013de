"""The command `headswap export`: every relation for DuckDB clients that do not have headswap."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ingest.kernel.command_line import json_option
from sql.console.options import dataset_argument


@click.command
@dataset_argument
@json_option("the file's path, and the relations whose rows are kept")
def command(dataset: Path, as_json: bool) -> int:
    """Writes `views.sql` with all relations, and prints its path."""
    from sql.graph.export import VIEWS_FILE, export

    kept = export(dataset)
    file = dataset / VIEWS_FILE
    print(json.dumps({"views": str(file), "kept": kept}) if as_json else file)
    return 0
