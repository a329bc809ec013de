"""The command `headswap check`: whether a dataset's rows keep what the contract promises."""

from __future__ import annotations

import argparse
import json
import sys

from sql.options import add_dataset_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `headswap check`."""
    add_dataset_argument(parser)
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Prints one line a model; returns 1 where a model's rows are not sound."""
    from sql.session import open_session

    with open_session(arguments.dataset) as session:
        checks = session.rows("select * from row_checks order by model")
    if arguments.json:
        print(json.dumps({"dataset": str(arguments.dataset), "checks": checks}))
    else:
        for check in checks:
            print(
                f"{check['model']}: {'sound' if check['is_sound'] else 'NOT SOUND'}: "
                f"{check['n_rows']:,} rows, {check['n_missing']:,} queries missing, "
                f"{check['n_incomplete']:,} incomplete, weights sum to 1 within "
                f"{check['largest_error']:.1e} (at most {check['tolerance']:.0e})"
                if check["largest_error"] is not None
                else f"{check['model']}: NOT SOUND: no rows"
            )
    unsound = [check["model"] for check in checks if not check["is_sound"]]
    if unsound:
        print(f"headswap: the rows of {', '.join(unsound)} are not sound", file=sys.stderr)
        print("Hint: `select * from row_checks` tells more; ingest again", file=sys.stderr)
    return 1 if unsound else 0
