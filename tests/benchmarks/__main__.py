"""All figures of speed as one table: `python -m tests.benchmarks`, or `make bench`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from tests.benchmarks.measure import HEADER, Figure

PARTS = (
    *("start-up", "queries", "scores", "statistics", "memory", "growth", "ingest", "ablate"),
    *("generate", "ask"),
)


def main() -> int:
    """Prints the table; returns how many figures miss their bar."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=5, help="of each figure, the best counts")
    parser.add_argument("--prompts", type=int, default=512, help="that models run on")
    parser.add_argument("--rows", type=int, default=86_000_000, help="that queries read")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    print(HEADER, flush=True)
    n_missed = 0
    for figure in _figures(arguments):
        print(figure.row(), flush=True)
        n_missed += not figure.is_met
    return n_missed


def _figures(arguments: argparse.Namespace) -> Iterator[Figure]:
    parts = arguments.parts or PARTS
    from tests.benchmarks import memory, queries

    if "start-up" in parts:
        yield from queries.start_up(arguments.rounds)
    if "queries" in parts:
        yield from queries.figures(arguments.rows, arguments.rounds)
    if "scores" in parts:
        yield from queries.scores(arguments.rounds)
    if "statistics" in parts:
        from tests.benchmarks import statistics

        yield from statistics.figures(min(arguments.rounds, 3))
    if "memory" in parts:
        yield from memory.figures()
    if "ask" in parts:
        from tests.benchmarks import ask

        yield from ask.figures()
    if {"growth", "ingest"} & set(parts):
        from tests.benchmarks import ingest  # torch

        if "growth" in parts:
            yield from queries.growth(arguments.rows // 8, arguments.rounds)
            yield from ingest.growth(arguments.rows // 8, rounds=2)
        if "ingest" in parts:
            yield from ingest.figures(arguments.prompts, arguments.rounds)
    if "generate" in parts:
        from tests.benchmarks import generation  # torch

        yield from generation.figures(min(arguments.rounds, 3))
    if "ablate" in parts:
        from tests.benchmarks import ablation  # torch

        yield from ablation.figures(min(arguments.rounds, 3))


if __name__ == "__main__":
    sys.exit(min(main(), 1))
