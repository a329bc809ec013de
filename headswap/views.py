"""What a dataset can be asked: its tables and views, each with purpose, grain and columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headswap.display import table_html
from ingest.kernel.errors import InputError

if TYPE_CHECKING:
    from sql.graph.relation import Relation


@dataclass(frozen=True)
class Column:
    """A column: its type as DuckDB names it, unit and meaning in words."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True, repr=False)
class View:
    """A table or view. grain: the columns that tell its rows apart.

    made_by: the command that makes the rows of what this dataset lacks, None where it can be asked.
    """

    name: str
    purpose: str
    grain: tuple[str, ...]
    columns: tuple[Column, ...]
    made_by: str | None

    def __repr__(self) -> str:
        width = max(len(column.name) for column in self.columns)
        lines = [
            self._title,
            *(f"  {c.name:{width}}  {c.type:9}  {c.meaning}" for c in self.columns),
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = [(column.name, column.type, column.meaning) for column in self.columns]
        return table_html(self._title, ("column", "type", "meaning"), rows)

    @property
    def _title(self) -> str:
        lacks = f"; this dataset lacks its rows, which {self.made_by} makes" if self.made_by else ""
        return f"{self.name}: {self.purpose}; one row per {', '.join(self.grain)}{lacks}"


class Views:
    """All tables and views by name, each after those that it reads.

    Iterating gives the names; `views["profiles"]` gives one, or raises InputError.
    """

    def __init__(self, absent: Sequence[str]) -> None:
        from sql.graph.catalog import relations

        self._views = {name: _view(node, absent) for name, node in relations().items()}

    def __getitem__(self, name: str) -> View:
        if name not in self._views:
            raise InputError(f"there is no view {name!r}", hint="`.views` shows those that are")
        return self._views[name]

    def __contains__(self, name: object) -> bool:
        return name in self._views

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def __repr__(self) -> str:
        width = max(map(len, self._views))
        return "\n".join(f"{view.name:{width}}  {view.purpose}" for view in self._views.values())

    def _repr_html_(self) -> str:
        rows = [
            (view.name, view.purpose, ", ".join(column.name for column in view.columns))
            for view in self._views.values()
        ]
        return table_html(f"{len(rows)} tables and views", ("name", "purpose", "columns"), rows)


def _view(relation: Relation, absent: Sequence[str]) -> View:
    from sql.graph.catalog import missing_table

    table = missing_table(relation.name, absent)
    return View(
        name=relation.name,
        purpose=relation.purpose,
        grain=relation.grain,
        columns=tuple(Column(c.name, c.type, c.meaning) for c in relation.columns),
        made_by=f"`headswap {table.made_by}`" if table else None,
    )
