"""The views: their files, read with their headers, in the order in which they build."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

VIEWS_FOLDER = Path(__file__).parents[1] / "views"

# Every view stands after those that it reads.
BUILD_ORDER = (
    "attention",
    "models",
    "prompts",
    "tokens",
    "positions",
    "row_checks",
    "structural_mass",
    "profiles",
    "late_mass",
    "reference_head",
    "profile_vectors",
    "unit_vectors",
    "similarities",
    "similarity_ranking",
    "matches",
    "swap_claims",
    "migration_map",
    "pattern_similarities",
    "prompt_scores",
    "head_scores",
    "compared_profiles",
    "prompt_profiles",
    "resamples",
    "match_intervals",
    "splits",
    "half_cosines",
    "split_halves",
    "head_reliability",
    "null_matches",
    "match_chance",
    "match_statistics",
    "pair_summary",
    "claims",
)
# Left as views: cheap, or a filter on them saves most of the work. All others are computed once a
# session when first asked for: chained, they would be computed again by each reader, and two
# computations of one cosine may differ in the last bit.
_LEFT_AS_VIEWS = {
    "attention",
    "models",
    "prompts",
    "tokens",
    "structural_mass",
    "late_mass",
    "head_scores",
    "pair_summary",
    "claims",
}
MATERIALISED = frozenset(BUILD_ORDER) - _LEFT_AS_VIEWS
# Of these, kept in the dataset for later sessions: what takes a pass over the rows, all pairs of
# heads, or many draws, and has few rows itself.
KEPT = frozenset(
    {
        "profiles",
        "prompt_scores",
        "prompt_profiles",
        "similarities",
        "pattern_similarities",
        "similarity_ranking",
        "migration_map",
        "match_intervals",
        "split_halves",
        "head_reliability",
        "null_matches",
        "match_chance",
    }
)

_COLUMN = re.compile(r"-- (?P<name>\w+): (?P<type>[\w\[\]]+), (?P<meaning>.+)")
_COMPUTED = re.compile(r"-- computed by (?P<function>[\w.]+) from (?P<reads>.+)\n")
_SOURCE = re.compile(r"\b(?:from|join)\s+(\w+)")
_GRAIN = re.compile(r"one row per \((?P<columns>.+)\)")


@dataclass(frozen=True)
class Column:
    """A column as a view's header states it."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True)
class View:
    """One view: what it is for, what makes a row unique, its columns, and its one SELECT.

    computed_by: the Python function that makes its rows where no SELECT can; select is empty then.
    reads: the views that it reads.
    """

    name: str
    purpose: str
    grain: tuple[str, ...]
    columns: tuple[Column, ...]
    select: str
    computed_by: str | None
    reads: tuple[str, ...]


@cache
def views() -> dict[str, View]:
    """All views by name, in build order."""
    return {name: _read_view(next(VIEWS_FOLDER.glob(f"*/{name}.sql"))) for name in BUILD_ORDER}


def _read_view(path: Path) -> View:
    text = path.read_text(encoding="utf-8")
    head, _, select = text.partition("\n\n")
    purpose, grain, *columns = head.splitlines()
    grain_match = _GRAIN.fullmatch(grain.removeprefix("-- grain: "))
    column_matches = [_COLUMN.fullmatch(column) for column in columns]
    if not purpose.startswith("-- purpose: ") or grain_match is None or None in column_matches:
        raise ValueError(f"{path.name} has no proper header")
    computed = _COMPUTED.fullmatch(select)
    return View(
        name=path.stem,
        purpose=purpose.removeprefix("-- purpose: "),
        grain=tuple(grain_match["columns"].split(", ")),
        columns=tuple(Column(**match.groupdict()) for match in column_matches if match),
        select="" if computed else select,
        computed_by=computed["function"] if computed else None,
        reads=tuple(
            name
            for name in BUILD_ORDER
            if name in _SOURCE.findall(f"from {computed['reads']}" if computed else select)
        ),
    )
