"""The command `headswap extract`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ingest.kernel.command_line import gathered, json_option
from ingest.kernel.errors import InputError

if TYPE_CHECKING:
    from ingest.transfer.combine.extract import Selection

_RANGE = re.compile(r"(?P<first>\d{1,9})(-(?P<last>\d{1,9}))?")
_MOST_NUMBERS = 1_000_000


def numbers(option: str, text: str) -> tuple[int, ...]:
    """Numbers and ranges, both ends included.

    >>> numbers("--layers", "0,3-5")
    (0, 3, 4, 5)

    Raises: InputError where the text is neither.
    """
    found: list[int] = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        first = int(match["first"]) if match else 0
        last = int(match["last"] or first) if match else -1
        if not first <= last < first + _MOST_NUMBERS:
            raise InputError(
                f"{option} {part.strip()!r} is neither a number nor a range",
                hint=f"for example {option} 0,3-5",
            )
        found += range(first, last + 1)
    return tuple(dict.fromkeys(found))


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",")))


def _selection(options: Mapping[str, Any]) -> Selection:
    from ingest.transfer.combine.extract import Selection

    models, pairs, prompts, layers = (
        options[name] for name in ("models", "pairs", "prompts", "layers")
    )
    return Selection(
        models=None if models is None else _names(models),
        prompts=None if prompts is None else numbers("--prompts", prompts),
        pairs=None if pairs is None else _names(pairs),
        layers=None if layers is None else numbers("--layers", layers),
    )


@click.command
@click.argument("dataset", type=Path, help="the folder that ingest wrote")
@gathered(
    "selection",
    _selection,
    click.option("--models", metavar="NAMES", help="these models, with commas between them"),
    click.option("--prompts", metavar="IDS", help="these prompt_ids, for instance 0,2,5-9"),
    click.option("--pairs", metavar="IDS", help="these pair_ids, each with all of its variants"),
    click.option("--layers", metavar="NUMBERS", help="these layers, for instance 0,3-5"),
)
@click.option("--out", metavar="DATASET", type=Path, required=True, help="the new dataset's folder")
@json_option("what was done")
def command(dataset: Path, selection: Selection, out: Path, as_json: bool) -> int:
    """Extracts, and prints what the new dataset holds and what was left out."""
    from ingest.transfer.combine.extract import extract

    manifest = extract(dataset, out, selection)
    assert manifest.part_of is not None
    left_out = manifest.part_of.left_out
    if as_json:
        found = {
            "dataset": str(out),
            "models": [model.name for model in manifest.models],
            "prompts": manifest.rows_of("prompts"),
            "rows": {table: manifest.rows_of(table) for table in sorted(manifest.tables)},
            "left_out": left_out,
        }
        print(json.dumps(found))
        return 0
    for line in left_out:
        print(f"left out {line}")
    for table in sorted(manifest.tables):
        print(f"{table}: {manifest.rows_of(table):,} rows")
    print(f"{out}: {len(manifest.models)} models, {manifest.rows_of('prompts'):,} prompts")
    return 0
