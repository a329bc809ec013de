"""The command `headswap ingest`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ingest.dataset.manifest import PRECISIONS, LeftOut
from ingest.engine_option import spark_option
from ingest.kernel.command_line import gathered, json_option
from ingest.kernel.errors import InputError
from ingest.models.options import DEVICES, DTYPES, LoadOptions
from ingest.models.source import ModelSource, parse_model_sources
from ingest.producers.on_spark import OnSpark, running
from ingest.prompts.probes import Probe, parse_probe
from ingest.prompts.prompt_set import ALL_VARIANTS, PAIRED_TASKS, read_prompts
from ingest.prompts.reading import Reading
from ingest.prompts.sequence import LEAST_TOKENS

_MAX_LISTED = 5

if TYPE_CHECKING:
    from ingest.pipeline import Estimate
    from ingest.prompts.prompt_set import PromptSet


def _prompts(options: Mapping[str, Any]) -> PromptSet | Probe:
    """The prompts, or the shard of them, that the options name.

    Raises: InputError where they name none.
    """
    shard = options["shard"]
    found = None if shard is None else re.fullmatch(r"(\d{1,6})/(\d{1,6})", shard)
    if shard is not None and not found:
        raise InputError(f"--shard {shard!r} is not K/N", hint="for example --shard 3/16")
    prompts = prompts_named(options["prompts"], options["variant"])
    if not found:
        return prompts
    if isinstance(prompts, Probe):
        raise InputError(
            f"{prompts.name} has no shards",
            hint="give fewer prompts, as in probe:repeated,prompts=9",
        )
    return prompts.shard(int(found[1]), int(found[2]))


def _reading(options: Mapping[str, Any]) -> Reading:
    return Reading(**options)


def _load_options(options: Mapping[str, Any]) -> LoadOptions:
    return LoadOptions(**options)


@click.command
@click.option(
    "--model",
    "models",
    metavar="NAME=SOURCE",
    multiple=True,
    required=True,
    help="a model and the name it gets in the dataset; once for each model. SOURCE is a local "
    "folder (an InterpGPT bundle with hooked_transformer.pt and tokenizer.json, or a saved "
    "Hugging Face model), a bundle file, ORG/NAME[@REVISION] on the hub, or demo:NAME; "
    "untrained:SOURCE for its architecture with random weights",
)
@gathered(
    "prompts",
    _prompts,
    click.option(
        "--prompts",
        metavar="FILE",
        help="JSON Lines, .csv, .parquet or .txt: records of pair_id, variant, task, steps, or of "
        "text (default: the 12 paired tasks); - for stdin, records or a text a line; or "
        "probe:repeated, probe:sink: random words, of "
        "which probe:repeated,prompts=50,length=25,seed=0 says how many",
    ),
    click.option(
        "--variant",
        metavar="NAME",
        help="which variant of each pair every model reads: standard (default), adhd, any other "
        f"in the file, or {ALL_VARIANTS}",
    ),
    click.option(
        "--shard",
        metavar="K/N",
        help="only the K-th of N parts of the prompts, 1/N to N/N, for jobs that run at the same "
        "time, each with an --out of its own: `headswap merge` makes them one dataset",
    ),
)
@gathered(
    "reading",
    _reading,
    click.option(
        "--structural",
        metavar="REGEX",
        help="the tokens that structural mass counts: those in which this is found (default: the "
        "markers, or a plain text's special tokens)",
    ),
    click.option(
        "--skip-unreadable",
        is_flag=True,
        help="leave out, for all models, the prompts that one cannot read: longer than its "
        f"context, or of fewer than {LEAST_TOKENS} tokens; they are counted, and the manifest "
        "lists them",
    ),
)
@gathered(
    "options",
    _load_options,
    click.option(
        "--device", type=click.Choice(DEVICES), default="auto", help="where to run (default: auto)"
    ),
    click.option(
        "--dtype",
        type=click.Choice(DTYPES),
        default="float32",
        help="precision to run in (default: float32)",
    ),
    click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        default="float32",
        help="to store weights in: float32 loses nothing (default), float16 takes half the room",
    ),
    click.option(
        "--trust-remote-code",
        is_flag=True,
        help="run code that a model brings along; the manifest says so",
    ),
)
@spark_option
@click.option("--out", metavar="DATASET", type=Path, required=True, help="the dataset's folder")
@json_option("what was done")
def command(
    models: tuple[str, ...],
    prompts: PromptSet | Probe,
    reading: Reading,
    options: LoadOptions,
    spark: OnSpark | None,
    out: Path,
    as_json: bool,
) -> int:
    """Ingests, and prints what the dataset now holds."""
    ingest_and_print(parse_model_sources(models), out, prompts, reading, options, as_json, spark)
    return 0


def prompts_named(name: str | None, variant: str | None = None) -> PromptSet | Probe:
    """The prompts of a file, by default the 12 paired tasks, or a probe.

    variant: None for `standard`, and for a probe, which is its own.

    Raises: InputError where the file cannot be used, or there is no such probe or variant.
    """
    probe = parse_probe(name) if name is not None else None
    if probe is None:
        return read_prompts(PAIRED_TASKS if name is None else Path(name), variant or "standard")
    if variant not in (None, ALL_VARIANTS, probe.name):
        raise InputError(
            f"{probe.name} has no variant {variant!r}", hint="a probe is made without --variant"
        )
    return probe


def made_prompts(
    named: PromptSet | Probe,
    sources: Sequence[ModelSource],
    out: Path,
    options: LoadOptions | None,
) -> PromptSet:
    """The prompts that were named; those of a probe are made for the models.

    Raises: as `ingest.probing.probe_prompts`.
    """
    if not isinstance(named, Probe):
        return named
    from ingest.probing import probe_prompts

    trusts_code = options is not None and options.trust_remote_code
    return probe_prompts(named, sources, out, trusts_code)


def ingest_and_print(
    sources: Sequence[ModelSource],
    out: Path,
    named: PromptSet | Probe,
    reading: Reading | None = None,
    options: LoadOptions | None = None,
    as_json: bool = False,
    spark: OnSpark | None = None,
) -> None:
    """Ingests as `ingest.pipeline.ingest`, and prints what the dataset now holds.

    spark: the cluster whose machines run the models, None for this process.

    Raises: as `ingest.pipeline.ingest`, and as `ingest.probing.probe_prompts`.
    """
    from ingest.pipeline import ingest  # seconds less where a prompt file cannot be read
    from ingest.producers.attention_on_spark import captured_on

    prompts = made_prompts(named, sources, out, options)
    with running(spark) as cluster:
        done = ingest(
            sources,
            prompts,
            out,
            reading,
            options,
            on_checked=lambda estimate: _print_plan(prompts, estimate),
            captured=captured_on(cluster, sources, options) if cluster else None,
        )
    left_out = done.manifest.left_out or ()
    rows = {name: done.rows(name) for name in (*done.added, *done.skipped)}
    _print_left_out(left_out)
    _warn_of_undefined_profiles(out, done.added)
    if as_json:
        print(
            json.dumps(
                {
                    "dataset": str(out),
                    "prompts": done.n_prompts,
                    "left_out": prompts.left_out,
                    "unreadable": [asdict(entry) for entry in left_out],
                    "added": {name: rows[name] for name in done.added},
                    "skipped": {name: rows[name] for name in done.skipped},
                }
            )
        )
        return
    for name in done.added:
        print(f"{name}: {rows[name]:,} attention rows added")
    for name in done.skipped:
        print(f"{name}: in the dataset already, nothing to do")
    print(f"{out}: {len(done.manifest.models)} models, {done.n_prompts} prompts")


def _print_left_out(left_out: Sequence[LeftOut]) -> None:
    """Says on stderr which prompts no model was given."""
    if not left_out:
        return
    print(f"left out for all models: {len(left_out):,} prompts", file=sys.stderr)
    for entry in left_out[:_MAX_LISTED]:
        print(f"  prompt {entry.prompt_id}: {entry.reason}", file=sys.stderr)
    if len(left_out) > _MAX_LISTED:
        print("  `headswap verify --json` lists all", file=sys.stderr)


def _warn_of_undefined_profiles(out: Path, models: Sequence[str]) -> None:
    """Says on stderr of which new models no stored token is structural."""
    if not models:
        return
    from ingest.dataset.reader import open_dataset

    dataset = open_dataset(out)
    tokens = dataset.read_table("tokens").group_by("tokenizer")
    counts = tokens.aggregate([("is_structural", "sum"), ("is_structural", "count")]).to_pylist()
    for row in counts:
        names = [
            model.name
            for model in dataset.manifest.models
            if model.name in models and model.tokenizer == row["tokenizer"]
        ]
        if names and not row["is_structural_sum"]:
            print(
                f"{', '.join(names)}: none of {row['is_structural_count']:,} tokens is structural: "
                "profiles are undefined, contents are not",
                file=sys.stderr,
            )
            print(
                "Hint: --structural REGEX chooses structural tokens by their text, for example "
                r"--structural '^\s*[.,;:!?]$'",
                file=sys.stderr,
            )


def _print_plan(prompts: PromptSet, estimate: Estimate | None) -> None:
    """Says on stderr what of a prompt file is not used, and how much will be written."""
    for field, count in sorted(prompts.ignored_fields.items()):
        print(f"ignored the field {field!r} in {count} records", file=sys.stderr)
    if prompts.left_out:
        print(
            f"{len(prompts.prompts)} prompts of the variant {prompts.variant}; "
            f"{prompts.left_out} of other variants left out",
            file=sys.stderr,
        )
    if estimate:
        print(
            f"{estimate.prompts:,} prompts, {estimate.rows:,} rows, about "
            f"{estimate.bytes / 1e6:,.1f} MB; {estimate.free_bytes / 1e9:,.1f} GB are free",
            file=sys.stderr,
        )
