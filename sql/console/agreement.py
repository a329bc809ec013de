"""What `headswap ablate` prints after estimates: how far they agree with the exact sweep."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def showing_agreement(ablate: Callable[..., int]) -> Callable[..., int]:
    """The command `ablate`, which after estimates also prints how far they agree."""

    @functools.wraps(ablate)
    def run(**options: Any) -> int:
        code = ablate(**options)
        if code == 0 and options["method"] == "attribution":
            print_agreement(options["dataset"], options["as_json"])
        return code

    return run


def print_agreement(path: Path, as_json: bool) -> None:
    """Prints the relation `attribution_agreement`, a line a model and kind.

    Nothing where the dataset has estimates or exact effects only.

    Raises: DatasetError where the folder is no dataset.
    """
    from ingest.dataset.reader import open_dataset
    from sql.session import open_session

    tables = open_dataset(path).manifest.tables
    if not {"ablation_effects", "attribution_effects"} <= tables.keys():
        return
    with open_session(path) as session:
        rows = session.rows("select * from attribution_agreement order by model, kind")
    if as_json:
        print(json.dumps({"agreement": rows}))
        return
    for row in rows:
        print(_line(row))


def _line(row: dict[str, Any]) -> str:
    """One row as a person reads it."""
    return (
        f"{row['model']}, {row['kind']}: estimates and exact effects of {row['n_heads']} heads "
        f"correlate at {_number(row['correlation'])}, their ranks at "
        f"{_number(row['rank_correlation'])}; the same sign in {row['n_same_sign']} of "
        f"{row['n_heads']}"
    )


def _number(value: float | None) -> str:
    return "– (undefined)" if value is None else f"{value:.3f}"
