"""The command `headswap verify`: whether a dataset holds what its contract promises."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ingest.dataset.checks import Check, Problem
from ingest.dataset.relations import STORED_TABLES
from ingest.kernel.errors import DatasetError
from ingest.kernel.text import printable
from sql.console.options import add_dataset_argument

_MAX_LISTED = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `headswap verify`."""
    add_dataset_argument(parser)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="read no file as a whole: neither checksums nor rows",
    )
    parser.add_argument(
        "--repair",
        action="store_true",
        help="remove what belongs to nothing and make damaged files again, bit for bit, from the "
        "models that the manifest names",
    )
    parser.add_argument(
        "--prompts",
        metavar="FILE",
        type=Path,
        help="with --repair: the file that the prompts came from (default: the 12 tasks that come "
        "with headswap)",
    )
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Prints a line a check and what is wrong; returns 1 where something is."""
    checks = find(arguments.dataset, arguments.quick)
    show(arguments.dataset, checks, arguments.json)
    return 1 if problems_of(checks) else 0


def find(dataset: Path, quick: bool = False) -> list[Check]:
    """All checks of a dataset: its contract, the views beside it, and what is kept of them.

    Raises: DatasetError where the folder never was a dataset.
    """
    from ingest.dataset.verification import verify

    checks = verify(dataset, quick, _Reading())
    if not any(check.n_checked for check in checks if check.name == "files"):
        return checks  # without a manifest nothing else can be said
    return [*checks, _views_text(dataset, checks), _kept(dataset)]


def problems_of(checks: Sequence[Check]) -> list[Problem]:
    """All problems that were found."""
    return [problem for check in checks for problem in check.problems]


def show(dataset: Path, checks: Sequence[Check], as_json: bool) -> None:
    """Prints the checks to stdout and, where something is wrong, how much to stderr."""
    problems, absent = problems_of(checks), _absent_tables(dataset)
    if as_json:
        listed = [asdict(check) for check in checks]
        found = {"dataset": str(dataset), "checks": listed, "absent": absent}
        print(json.dumps(found | {"sound": not problems}))
    else:
        for check in checks:
            count = f"{len(check.problems)} wrong" if check.problems else "sound"
            verdict = count if check.n_checked or check.problems else "not read"
            print(f"{check.name:<10}  {verdict:<9}  {check.n_checked:>7,} checked  {check.promise}")
        for name in absent:
            print(f"absent: {name} (`headswap {STORED_TABLES[name].made_by}` makes it)")
        for problem in problems[:_MAX_LISTED]:
            print(printable(f"{problem.path}: {problem.what}"))
        if len(problems) > _MAX_LISTED:
            print(f"and {len(problems) - _MAX_LISTED} more; --json lists all")
    if problems:
        number = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        print(f"headswap: {dataset} is not sound: {number}", file=sys.stderr)
        print("Hint: `headswap verify --repair` mends what can be mended", file=sys.stderr)


def _absent_tables(dataset: Path) -> list[str]:
    """The tables that a dataset may have and this one lacks; none where it cannot be read."""
    from ingest.dataset.manifest import read_manifest

    try:
        return read_manifest(dataset).absent_tables()
    except DatasetError:
        return []


def _views_text(dataset: Path, checks: Sequence[Check]) -> Check:
    from sql.graph.export import VIEWS_FILE, views_text

    check = Check("views.sql", "is the text of the views over these files")
    if not problems_of(checks):  # the views cannot be written over a dataset that is not sound
        check.record_text(dataset, VIEWS_FILE, views_text(dataset))
    return check


def _kept(dataset: Path) -> Check:
    from ingest.dataset.manifest import KEPT_FOLDER
    from sql.graph.kept import is_intact

    check = Check("kept views", "each holds the bytes that its name states")
    for path in sorted((dataset / KEPT_FOLDER).rglob("*")):
        if path.is_dir():
            continue
        check.n_checked += 1
        if not is_intact(path):
            name = path.relative_to(dataset).as_posix()
            check.problems.append(Problem(name, "has other bytes", is_superfluous=True))
    return check


class _Reading:
    """Tells a person on a terminal how many rows were read."""

    def __init__(self) -> None:
        self._rows = 0

    def __call__(self, rows: int) -> None:
        before, self._rows = self._rows, self._rows + rows
        if sys.stderr.isatty() and before // 1_000_000 != self._rows // 1_000_000:
            print(f"\r{self._rows:,} rows read\x1b[K", end="", file=sys.stderr, flush=True)
