"""The command `headswap import`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ingest.dataset.manifest import PRECISIONS
from ingest.kernel.command_line import gathered, json_option
from ingest.kernel.errors import InputError
from ingest.models.options import DTYPES

if TYPE_CHECKING:
    from ingest.transfer.imports.imported import ImportOptions

_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def _description(options: Mapping[str, Any]) -> dict[str, Any]:
    return dict(options)


@click.command
@click.argument(
    "source",
    type=Path,
    help="a file, or a folder of files whose prompts follow one another in the order of their "
    "names. .npz and .safetensors: arrays attention_0, attention_1, ... of the prompts, or one "
    "attention, each [layer, head, query, key], with tokens_0, tokens_1, ... as texts or numbers "
    "(in .safetensors texts as a JSON list in the metadata). .pt: what torch.save wrote of "
    "output.attentions, layers of [batch, head, query, key], or a dictionary of attentions, "
    "tokens, input_ids, attention_mask. .parquet and .csv: one row a weight",
)
@click.option(
    "--model",
    metavar="NAME",
    help="the model's name in the dataset (default: SOURCE's, without "
    "its ending); of a table with a column model, whose rows are taken",
)
@click.option(
    "--array",
    metavar="NAME",
    default="attention",
    help="how the arrays of weights are named (default: attention)",
)
@click.option(
    "--column",
    "columns",
    metavar="OURS=THEIRS",
    multiple=True,
    help="the column of a table that holds the layer, head, query, key, weight, prompt_id, model "
    "or token (of the query), where it is not called that; once for each",
)
@gathered(
    "description",
    _description,
    click.option(
        "--tokens",
        "tokens_file",
        metavar="FILE",
        type=Path,
        help='the texts of the tokens, as JSON: [["Make", " tea"], ...], one list a prompt',
    ),
    click.option(
        "--tokenizer",
        "tokenizer_file",
        metavar="FILE",
        type=Path,
        help="the model's tokenizer.json, in place of the texts, with --prompts",
    ),
    click.option(
        "--prompts",
        "prompts_file",
        metavar="FILE",
        type=Path,
        help="the prompts, as `headswap ingest` reads them, - for stdin, in the order of "
        "the arrays (default: each is the text of its tokens)",
    ),
    click.option(
        "--variant",
        metavar="NAME",
        default="standard",
        help="of the prompts: standard (default), any other in the file, or all",
    ),
    click.option(
        "--structural",
        metavar="REGEX",
        help="the tokens that structural mass counts: those in which this is found (default: "
        "InterpGPT's markers)",
    ),
    click.option(
        "--dtype",
        type=click.Choice(DTYPES),
        help="what the model ran in, which says how far weights may sum from 1 (default: the "
        "type of the arrays)",
    ),
    click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        default="float32",
        help="to store weights in: float32 (default) or float16",
    ),
)
@click.option("--out", metavar="DATASET", type=Path, required=True, help="the new dataset's folder")
@json_option("what was done")
def command(
    source: Path,
    model: str | None,
    array: str,
    columns: tuple[str, ...],
    description: dict[str, Any],
    out: Path,
    as_json: bool,
) -> int:
    """Imports, and prints what the dataset holds."""
    from ingest.transfer.imports.imported import ImportOptions, import_arrays

    name = model or _NO_NAME.sub("-", source.stem).strip("-.")
    options = ImportOptions(model=name, source=f"import:{source}", **description)
    manifest = import_arrays(_arrays(source, array, _mapping(columns), options), out, options)
    n_rows, n_prompts = (manifest.rows_of(table) for table in ("attention", "prompts"))
    if as_json:
        found = {"dataset": str(out), "model": name, "prompts": n_prompts, "rows": n_rows}
        print(json.dumps(found))
    else:
        print(f"{name}: {n_rows:,} attention rows of {n_prompts:,} prompts")
        print(f"{out}: what is not known of the model is null")
    return 0


def _arrays(source: Path, array: str, columns: dict[str, str], options: ImportOptions) -> Any:
    from ingest.transfer.imports import array_files, tables

    if source.suffix in tables.SUFFIXES and source.is_file():
        return tables.read_table_file(source, columns, options.model)
    if columns:
        raise InputError("--column is for tables (.parquet, .csv)")
    if source.is_file() and source.suffix not in array_files.SUFFIXES:
        known = ", ".join((*array_files.SUFFIXES, *tables.SUFFIXES))
        raise InputError(f"{source} ends in none of {known}")
    return array_files.read_array_files(source, array)


def _mapping(columns: tuple[str, ...]) -> dict[str, str]:
    from ingest.transfer.imports.tables import COLUMNS

    found: dict[str, str] = {}
    for text in columns:
        ours, equals, theirs = text.partition("=")
        if not equals or not theirs or ours not in COLUMNS or ours in found:
            raise InputError(
                f"--column {text!r} is not OURS=THEIRS",
                hint=f"OURS is one of {', '.join(COLUMNS)}, each once",
            )
        found[ours] = theirs
    return found
