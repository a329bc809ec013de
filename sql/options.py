"""The options that every command over a dataset shares."""

from __future__ import annotations

import argparse
from pathlib import Path

from ingest.dataset.errors import InputError
from sql.session import Parameters, parse_head


def add_dataset_argument(parser: argparse.ArgumentParser) -> None:
    """The dataset's folder."""
    parser.add_argument(
        "dataset", metavar="DATASET", type=Path, help="the folder that ingest wrote"
    )


def add_parameter_options(parser: argparse.ArgumentParser) -> None:
    """What the views are asked with."""
    parser.add_argument(
        "--bins", type=int, default=20, help="bins of a profile along the prompt (default: 20)"
    )
    parser.add_argument(
        "--variant", help="which stored variant the views use, or all (default: the stored one)"
    )
    parser.add_argument(
        "--reference",
        metavar="HEAD",
        help="the reference head, for instance L3H0 or MODEL:L3H0 (default: the head of the first "
        "model with the highest mean structural mass over the later half of its profile)",
    )
    parser.add_argument(
        "--pair",
        dest="pairs",
        metavar="MODEL:MODEL",
        action="append",
        default=[],
        help="two models to compare; once for each pair (default: every two)",
    )


def parameters_from(arguments: argparse.Namespace) -> Parameters:
    """The parameters that the options state.

    Raises: InputError where the reference names no head, or a pair no two models.
    """
    model, layer, head = None, None, None
    if arguments.reference:
        named_model, _, named_head = arguments.reference.rpartition(":")
        model = named_model or None
        layer, head = parse_head(named_head)
    return Parameters(
        bins=arguments.bins,
        variant=arguments.variant,
        reference_model=model,
        reference_layer=layer,
        reference_head=head,
        pairs=tuple(_pair_from(pair) for pair in arguments.pairs),
    )


def _pair_from(text: str) -> tuple[str, str]:
    first, _, second = text.partition(":")
    if not first or not second or first == second:
        raise InputError(f"{text!r} names no two models", hint="write them as in standard:adhd")
    return first, second
