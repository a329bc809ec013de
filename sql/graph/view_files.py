"""The .sql files of `sql/views/`: a header that declares a relation, then its one SELECT."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from sql.graph.relation import SUBJECTS, Column, Relation, Storage

VIEWS_FOLDER = Path(__file__).parents[1] / "views"

_COLUMN = re.compile(r"-- (?P<name>\w+): (?P<type>[\w\[\]]+), (?P<meaning>.+)")
_COMPUTED = re.compile(
    r"-- computed by (?P<function>[\w.]+) from (?P<reads>.+)\n(?:\n(?:-- .*\n)+)?"
)
_GRAIN = re.compile(r"one row per \((?P<columns>.+)\)")


def read_view_files() -> list[Relation]:
    """All of them by subject and name, without what a SELECT reads: that is parsed when asked."""
    order = list(SUBJECTS)
    paths = VIEWS_FOLDER.glob("*/*.sql")
    return [
        _read(path)
        for path in sorted(paths, key=lambda path: (order.index(path.parent.name), path.name))
    ]


def _read(path: Path) -> Relation:
    text = path.read_text(encoding="utf-8")
    head, _, definition = text.partition("\n\n")
    lines = dict(line.removeprefix("-- ").split(": ", 1) for line in head.splitlines()[:3])
    grain = _GRAIN.fullmatch(lines.get("grain", ""))
    columns = [_COLUMN.fullmatch(line) for line in head.splitlines()[3:]]
    storage = lines.get("storage", "")
    if "purpose" not in lines or not grain or None in columns or storage not in get_args(Storage):
        raise ValueError(f"{path.name} has no proper header")
    computed = _COMPUTED.fullmatch(definition)
    return Relation(
        name=path.stem,
        kind="computed" if computed else "select",
        subject=path.parent.name,
        purpose=lines["purpose"],
        grain=tuple(grain["columns"].split(", ")),
        columns=tuple(Column(**match.groupdict()) for match in columns if match),
        storage=storage,  # type: ignore[arg-type]  # one of them, as seen above
        definition=computed["function"] if computed else definition.strip(),
        reads=tuple(computed["reads"].split(", ")) if computed else (),
    )
