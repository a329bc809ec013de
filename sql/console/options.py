"""The options that every command over a dataset shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ingest.kernel.command_line import Decorator, gathered, spark_master_option
from ingest.kernel.errors import InputError
from sql.console.completion import complete_folder, complete_head, complete_pair
from sql.parameters import SIMILARITIES, Parameters, parse_claim, parse_model_head

if TYPE_CHECKING:
    from sql.access.limits import Limits
    from sql.engines.engine import EngineChoice


def _folder(text: str) -> Path:
    """Raises: InputError where it is an address, which this command does not read."""
    if _is_address(text):
        from ingest.dataset.afar.address import how_to_copy

        raise InputError(
            f"{text} is not on this machine, and this command needs its files",
            hint=how_to_copy(text),
        )
    return Path(text)


def _place(text: str) -> Path | str:
    """A folder, or an address as it was given."""
    return text if _is_address(text) else Path(text)


def _is_address(text: str) -> bool:
    from ingest.dataset.afar.address import is_address

    return is_address(text)


dataset_argument = click.argument(
    "dataset",
    metavar="DATASET",
    type=_folder,
    help="the folder that ingest wrote",
    shell_complete=complete_folder,
)
# For commands that only ask: they also read from afar.
place_argument = click.argument(
    "dataset",
    metavar="DATASET",
    type=_place,
    help="the folder that ingest wrote, or where one lies: hf://datasets/ORG/NAME[@REVISION], or "
    "the https:// or s3:// address of a folder",
    shell_complete=complete_folder,
)

_VIEW_OPTIONS: tuple[Decorator, ...] = (
    click.option(
        "--bins",
        metavar="N",
        type=int,
        default=20,
        help="bins of a profile along the prompt (default: 20)",
    ),
    click.option(
        "--variant",
        metavar="NAME",
        help="which stored variant the views use, or all (default: the stored one)",
    ),
    click.option(
        "--reference",
        metavar="HEAD",
        shell_complete=complete_head,
        help="the reference head, for instance L3H0 or MODEL:L3H0 (default: the head of the first "
        "model with the highest mean structural mass over the later half of its profile)",
    ),
    click.option(
        "--pair",
        "pairs",
        metavar="MODEL:MODEL",
        multiple=True,
        shell_complete=complete_pair,
        help="two models to compare; once for each pair (default: every two)",
    ),
    click.option(
        "--group",
        "groups",
        metavar="NAME=MODEL,MODEL",
        multiple=True,
        help="models that belong together, for the view group_comparison; once for each group",
    ),
    click.option(
        "--similarity",
        metavar="NAME",
        help=f"what matches and intervals are about: {', '.join(SIMILARITIES)} (default: content, "
        "or profile_whitened where models cut the prompts into different tokens)",
    ),
)
_STATISTICS_OPTIONS: tuple[Decorator, ...] = (
    click.option(
        "--draws",
        metavar="N",
        type=int,
        default=1000,
        help="draws behind chance, 999 or more (default: 1000)",
    ),
    click.option(
        "--seed",
        metavar="N",
        type=int,
        default=0,
        help="seed of all that is drawn at random (default: 0)",
    ),
    click.option(
        "--claim",
        "claims",
        metavar="CLAIM",
        multiple=True,
        help="a claim for the view claims: MODEL:HEAD ~ MODEL:HEAD and one of: above same index, "
        "best match, beyond chance, at least 0.99; once for each",
    ),
)

_BOUND_OPTIONS: tuple[Decorator, ...] = (
    click.option("--timeout", metavar="SECONDS", type=float, help="stop a query that takes longer"),
    click.option("--memory-limit", metavar="SIZE", help="what DuckDB may use, for instance 2GB"),
)


def parameters_from(options: Mapping[str, Any]) -> Parameters:
    """The parameters that the values of the options state, by name.

    Raises: InputError where the reference names no head, a pair does not name two models, or a
    claim cannot be read.
    """
    model, layer, head = None, None, None
    if options["reference"]:
        model, layer, head = parse_model_head(options["reference"])
    parameters = Parameters(
        bins=options["bins"],
        variant=options["variant"],
        reference_model=model,
        reference_layer=layer,
        reference_head=head,
        pairs=tuple(_pair_from(pair) for pair in options["pairs"]),
        groups=tuple(_group_from(group) for group in options["groups"]),
        similarity=options["similarity"],
    )
    if "claims" not in options:
        return parameters
    return replace(
        parameters,
        n_draws=options["draws"],
        seed=options["seed"],
        claims=tuple(parse_claim(claim) for claim in options["claims"]),
    )


def engine_from(options: Mapping[str, Any]) -> EngineChoice:
    """The engine that the values of the options state.

    Raises: InputError where what is said of Spark is said of another engine.
    """
    from sql.engines.engine import EngineChoice

    return EngineChoice(options["engine"], options["master"], options["warehouse"])


def limits_from(options: Mapping[str, Any]) -> Limits:
    """The bounds that the values of the options state; in a sandbox those left out are its own.

    Where there is no option for a sandbox, it is one.

    Raises: InputError where a bound makes no sense.
    """
    from sql.access.limits import SANDBOX, Limits, parse_memory

    seconds, memory, rows = options["timeout"], options["memory_limit"], options["max_rows"]
    if seconds is not None and not 0 < seconds < float("inf"):
        raise InputError(f"--timeout {seconds:g} is not possible", hint="give seconds above 0")
    if rows is not None and rows < 0:
        raise InputError(f"--max-rows {rows} is not possible", hint="give 0 or more")
    chosen = {"seconds": seconds, "memory": memory and parse_memory(memory), "rows": rows}
    given = {name: value for name, value in chosen.items() if value is not None}
    return replace(SANDBOX if options.get("sandbox", True) else Limits(), **given)


# What runs the queries; the command's function gets it as `engine`.
engine_options = gathered(
    "engine",
    engine_from,
    click.option(
        "--engine",
        type=click.Choice(("duckdb", "spark")),
        default="duckdb",
        help="what runs the queries: DuckDB in this process (default), or Spark, for data that one "
        "machine does not hold",
    ),
    spark_master_option,
    click.option(
        "--warehouse",
        metavar="DIR",
        type=Path,
        shell_complete=complete_folder,
        help="where Spark puts its tables while it runs; every machine of the cluster must see it "
        "(default: the dataset's views/)",
    ),
)
# What a query may take; the command's function gets it as `limits`.
limit_options = gathered(
    "limits",
    limits_from,
    click.option(
        "--sandbox",
        is_flag=True,
        help="for other people's queries: no file but the dataset's can be read, none written, "
        "with the limits 60 s, 2GB and 100,000 rows unless others are given",
    ),
    *_BOUND_OPTIONS,
    click.option("--max-rows", metavar="N", type=int, help="refuse a result with more rows"),
)
# The same of a command whose every query is in the sandbox, and shows what of a result it may.
sandbox_options = gathered(
    "limits",
    limits_from,
    *_BOUND_OPTIONS,
    click.option(
        "--max-rows",
        metavar="N",
        type=int,
        help="of a result with more rows, show the first N (default: 100,000)",
    ),
)
# What the views are asked with; the command's function gets it as `parameters`.
parameter_options = gathered("parameters", parameters_from, *_VIEW_OPTIONS)
# The same, and what random draws and claims are asked with.
statistics_options = gathered("parameters", parameters_from, *_VIEW_OPTIONS, *_STATISTICS_OPTIONS)


def _pair_from(text: str) -> tuple[str, str]:
    first, _, second = text.partition(":")
    if not first or not second or first == second:
        raise InputError(f"{text!r} names no two models", hint="write them as in standard:adhd")
    return first, second


def _group_from(text: str) -> tuple[str, tuple[str, ...]]:
    name, _, models = text.partition("=")
    members = tuple(model.strip() for model in models.split(",") if model.strip())
    if not name.strip() or not members:
        raise InputError(
            f"{text!r} names no group of models", hint="write it as in seeds=model-1,model-2"
        )
    return name.strip(), members
