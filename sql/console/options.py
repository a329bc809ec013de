"""The options that every command over a dataset shares."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ingest.kernel.errors import InputError
from sql.parameters import SIMILARITIES, Parameters, parse_claim, parse_model_head


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
    parser.add_argument(
        "--similarity",
        metavar="NAME",
        default="profile",
        help="which form of the profiles matches, intervals and chance are about: "
        f"{', '.join(SIMILARITIES)} (default: profile, as published)",
    )


def add_statistics_options(parser: argparse.ArgumentParser) -> None:
    """What random draws and claims are asked with."""
    parser.add_argument(
        "--resamples",
        type=int,
        default=1000,
        help="resamples of prompts behind intervals, draws behind chance (default: 1000)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of all that is drawn at random (default: 0)"
    )
    parser.add_argument(
        "--claim",
        dest="claims",
        metavar="CLAIM",
        action="append",
        default=[],
        help="a claim for the view claims: MODEL:HEAD ~ MODEL:HEAD and one of: above same index, "
        "best match, beyond chance, at least 0.99; once for each",
    )


def parameters_from(arguments: argparse.Namespace) -> Parameters:
    """The parameters that the options state.

    Raises: InputError where the reference names no head, a pair no two models, or a claim is none.
    """
    model, layer, head = None, None, None
    if arguments.reference:
        model, layer, head = parse_model_head(arguments.reference)
    parameters = Parameters(
        bins=arguments.bins,
        variant=arguments.variant,
        reference_model=model,
        reference_layer=layer,
        reference_head=head,
        pairs=tuple(_pair_from(pair) for pair in arguments.pairs),
        similarity=arguments.similarity,
    )
    if "claims" not in arguments:
        return parameters
    return replace(
        parameters,
        n_resamples=arguments.resamples,
        n_draws=arguments.resamples,
        seed=arguments.seed,
        claims=tuple(parse_claim(claim) for claim in arguments.claims),
    )


def _pair_from(text: str) -> tuple[str, str]:
    first, _, second = text.partition(":")
    if not first or not second or first == second:
        raise InputError(f"{text!r} names no two models", hint="write them as in standard:adhd")
    return first, second
