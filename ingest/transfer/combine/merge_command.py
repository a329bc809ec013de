"""The command `headswap merge`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from ingest.kernel.command_line import json_option


@click.command
@click.argument(
    "sources",
    metavar="DATASET...",
    nargs=-1,
    required=True,
    type=Path,
    help="two or more shards of one study: the same prompts and other models, the same models and "
    "other prompts, or both; each model on each prompt in just one of them",
)
@click.option("--out", metavar="DATASET", type=Path, required=True, help="the new dataset's folder")
@json_option("what was done")
def command(sources: tuple[Path, ...], out: Path, as_json: bool) -> int:
    """Merges, and prints what the new dataset holds."""
    from ingest.transfer.combine.merge import merge

    done = merge(sources, out)
    manifest = done.manifest
    for table, model in done.absent:
        print(f"{table}: no dataset has rows of {model!r}", file=sys.stderr)
    if as_json:
        print(
            json.dumps(
                {
                    "dataset": str(out),
                    "models": [model.name for model in manifest.models],
                    "prompts": manifest.rows_of("prompts"),
                    "renumbered": done.n_renumbered,
                    "rows": {table: manifest.rows_of(table) for table in sorted(manifest.tables)},
                    "absent": [{"table": table, "model": model} for table, model in done.absent],
                }
            )
        )
        return 0
    if done.n_renumbered:
        print(f"{done.n_renumbered:,} prompts got another prompt_id")
    for table in sorted(manifest.tables):
        print(f"{table}: {manifest.rows_of(table):,} rows")
    print(f"{out}: {len(manifest.models)} models, {manifest.rows_of('prompts'):,} prompts")
    return 0
