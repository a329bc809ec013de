"""The command `headswap top-tokens`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ingest.ablation.options import KINDS, ZERO, parse_model_head
from ingest.kernel.command_line import json_option
from ingest.kernel.text import printable
from ingest.rerun_options import (
    dataset_argument,
    device_option,
    parse_now_at,
    source_option,
)


@click.command
@dataset_argument
@click.argument("head", metavar="MODEL:HEAD")
@click.option(
    "--prompt", "prompt_id", metavar="ID", type=int, required=True, help="a prompt's prompt_id"
)
@click.option(
    "--position",
    metavar="N",
    type=int,
    default=-1,
    help="from which the next token is predicted, from 0, or below 0 from the end (default: -1)",
)
@click.option(
    "-k",
    "count",
    metavar="N",
    type=click.IntRange(1, 1000),
    default=5,
    help="how many tokens (default: 5)",
)
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default=ZERO,
    help="what stands for what the head mixes, as for ablate (default: zero)",
)
@source_option
@device_option
@json_option("the tokens")
def command(
    dataset: Path,
    head: str,
    prompt_id: int,
    position: int,
    sources: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> int:
    """Prints the most probable tokens, before and after."""
    from ingest.ablation.top_tokens import Place, top_tokens

    model, found = parse_model_head(head)
    place = Place(model, found, prompt_id, position)
    tokens = top_tokens(dataset, place, now_at=parse_now_at(sources), **options)
    kind = options["kind"]
    if as_json:
        print(json.dumps({"model": model, "kind": kind, "prompt_id": prompt_id, **asdict(tokens)}))
        return 0
    print(f"{head} ({kind}), prompt {prompt_id}, position {tokens.position}")
    print(f"{'rank':>4}  {'before':<30}  after")
    for rank, pair in enumerate(zip(tokens.before, tokens.after, strict=True), start=1):
        before, after = (f"{one.probability:.4f} {printable(repr(one.token))}" for one in pair)
        print(f"{rank:>4}  {before:<30}  {after}")
    return 0
