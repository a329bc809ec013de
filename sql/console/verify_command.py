"""The command `headswap verify`: whether a dataset holds what its contract promises."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from ingest.dataset.checks import Check, Problem
from ingest.dataset.manifest import LeftOut
from ingest.dataset.relations import STORED_TABLES
from ingest.kernel.command_line import json_option
from ingest.kernel.errors import DatasetError
from ingest.kernel.progress import Progress
from ingest.kernel.text import printable
from sql.console.completion import complete_file
from sql.console.options import dataset_argument

_MAX_LISTED = 20
# Checks of what a dataset may have none of.
_MAY_FIND_NONE = ("kept views",)
# Checks of what lies beside the data: texts that are written anew, and files that nothing reads.
_BESIDE_THE_DATA = ("card", "orphans", "views.sql", "kept views")


@click.command
@dataset_argument
@click.option("--quick", is_flag=True, help="read no file as a whole: neither checksums nor rows")
@click.option(
    "--repair",
    is_flag=True,
    help="remove what belongs to nothing and make damaged files again, bit for bit, from the "
    "models that the manifest names",
)
@click.option(
    "--prompts",
    metavar="FILE",
    type=Path,
    shell_complete=complete_file,
    help="with --repair: the file that the prompts came from, - for stdin (default: the 12 tasks "
    "that come with headswap)",
)
@json_option("the checks")
def command(dataset: Path, quick: bool, as_json: bool) -> int:
    """Prints a line a check and what is wrong; returns 1 where something is.

    The repair before it runs models, so `headswap.commands` takes these two options.
    """
    checks = run_checks(dataset, quick)
    print_checks(dataset, checks, as_json)
    return 1 if problems_of(checks) else 0


def run_checks(dataset: Path, quick: bool = False) -> list[Check]:
    """All checks of a dataset: its contract, the views beside it, and what is kept of them.

    Raises: DatasetError where the folder never was a dataset.
    """
    from ingest.dataset.verification import verify

    with Progress("verifying", None, "rows") as progress:
        checks = verify(dataset, quick, progress.add)
    if not any(check.n_checked for check in checks if check.name == "files"):
        return checks  # without a manifest nothing else can be said
    return [*checks, _views_text(dataset, checks), _kept(dataset)]


def problems_of(checks: Sequence[Check]) -> list[Problem]:
    """All problems that were found."""
    return [problem for check in checks for problem in check.problems]


def is_usable(checks: Sequence[Check]) -> bool:
    """Whether all that a query reads is sound, whatever lies beside it."""
    return not problems_of([check for check in checks if check.name not in _BESIDE_THE_DATA])


def not_looked_at(checks: Sequence[Check]) -> list[str]:
    """What a verdict on the data says nothing about, a sentence each."""
    unread = ", ".join(check.name for check in checks if _is_unread(check))
    return [
        *([f"{unread}: left out by --quick, or rest on what is wrong"] if unread else []),
        "whether the models still give these rows: only --repair runs them, for damaged files",
        "whether claims about heads hold: `headswap claims` does that",
    ]


def print_checks(dataset: Path, checks: Sequence[Check], as_json: bool) -> None:
    """Prints the checks to stdout and, where something is wrong, how much to stderr."""
    left_out = _left_out(dataset)
    problems, absent, unseen = problems_of(checks), _absent_tables(dataset), not_looked_at(checks)
    if as_json:
        listed = [asdict(check) for check in checks]
        found = {"dataset": str(dataset), "checks": listed, "absent": absent}
        found["left_out"] = [asdict(entry) for entry in left_out]
        print(json.dumps(found | {"not_looked_at": unseen, "sound": not problems}))
    else:
        for check in checks:
            count = f"{len(check.problems)} wrong" if check.problems else "sound"
            verdict = "not read" if _is_unread(check) else count
            print(f"{check.name:<10}  {verdict:<9}  {check.n_checked:>7,} checked  {check.promise}")
        for line in (line for check in checks if not check.problems for line in check.measured):
            print(printable(line))
        if left_out:
            print(f"left out by --skip-unreadable: {len(left_out):,} prompts")
        for entry in left_out[:_MAX_LISTED]:
            print(printable(f"  prompt {entry.prompt_id}: {entry.reason}"))
        for name in absent:
            print(f"absent: {name} (`headswap {STORED_TABLES[name].made_by}` makes it)")
        for what in unseen:
            print(f"not looked at: {what}")
        for problem in problems[:_MAX_LISTED]:
            print(printable(f"{problem.path}: {problem.what}"))
        if len(problems) > _MAX_LISTED:
            print(f"and {len(problems) - _MAX_LISTED} more; --json lists all")
    if problems:
        number = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        print(f"headswap: {dataset} is not sound: {number}", file=sys.stderr)
        print("Hint: `headswap verify --repair` repairs what can be repaired", file=sys.stderr)


def _is_unread(check: Check) -> bool:
    return not (check.n_checked or check.problems or check.name in _MAY_FIND_NONE)


def _left_out(dataset: Path) -> list[LeftOut]:
    """The prompts that an ingest left out; none where the manifest cannot be read."""
    from ingest.dataset.manifest import read_manifest

    try:
        return list(read_manifest(dataset).left_out or ())
    except DatasetError:
        return []


def _absent_tables(dataset: Path) -> list[str]:
    """The tables that a dataset may have and this one lacks; none where it cannot be read."""
    from ingest.dataset.manifest import read_manifest

    try:
        return read_manifest(dataset).absent_tables()
    except DatasetError:
        return []


def _views_text(dataset: Path, checks: Sequence[Check]) -> Check:
    from sql.graph.export import VIEWS_FILE, expected_text

    check = Check("views.sql", "is the text of the views over these files")
    if not problems_of(checks):  # the views cannot be written over a dataset that is not sound
        text = expected_text(dataset)
        check.record_text(dataset, VIEWS_FILE, text, "this headswap writes another text for it")
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
