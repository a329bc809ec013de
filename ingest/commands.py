"""The command `headswap ingest`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ingest.prompts import ALL_VARIANTS, PAIRED_TASKS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `headswap ingest`."""
    parser.add_argument(
        "--model",
        dest="models",
        metavar="NAME=SOURCE",
        action="append",
        required=True,
        help="a model and the name it gets in the dataset; once for each model. SOURCE is a local "
        "folder (an InterpGPT bundle with hooked_transformer.pt and tokenizer.json, or a saved "
        "Hugging Face model) or demo:NAME",
    )
    parser.add_argument(
        "--prompts",
        metavar="FILE",
        type=Path,
        default=PAIRED_TASKS,
        help="JSON Lines of pair_id, variant, task, steps (default: the 12 paired tasks)",
    )
    parser.add_argument(
        "--variant",
        default="standard",
        help="which variant of each pair every model reads: standard (default), adhd, any other "
        f"in the file, or {ALL_VARIANTS}",
    )
    parser.add_argument(
        "--out", metavar="DATASET", type=Path, required=True, help="the dataset's folder"
    )
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Ingests, and prints what the dataset now holds."""
    from ingest.models.source import parse_model_sources
    from ingest.prompts import read_prompts

    sources = parse_model_sources(arguments.models)
    prompts = read_prompts(arguments.prompts, arguments.variant)
    for field, count in sorted(prompts.ignored_fields.items()):
        print(f"ignored the field {field!r} in {count} records", file=sys.stderr)
    if prompts.left_out:
        print(
            f"{len(prompts.prompts)} prompts of the variant {prompts.variant}; "
            f"{prompts.left_out} of other variants left out",
            file=sys.stderr,
        )
    from ingest.pipeline import ingest

    done = ingest(sources, prompts, arguments.out)
    rows = {name: done.rows(name) for name in (*done.added, *done.skipped)}
    if arguments.json:
        print(
            json.dumps(
                {
                    "dataset": str(arguments.out),
                    "prompts": len(prompts.prompts),
                    "left_out": prompts.left_out,
                    "added": {name: rows[name] for name in done.added},
                    "skipped": {name: rows[name] for name in done.skipped},
                }
            )
        )
        return 0
    for name in done.added:
        print(f"{name}: {rows[name]:,} attention rows added")
    for name in done.skipped:
        print(f"{name}: in the dataset already, nothing to do")
    print(f"{arguments.out}: {len(done.manifest.models)} models, {len(prompts.prompts)} prompts")
    return 0
