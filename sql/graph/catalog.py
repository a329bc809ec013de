"""The graph of relations: what there is to ask, what each reads, and the order in which they build.

Nothing here lists relations: stored tables come from `ingest.dataset.relations`, parameter tables
from `sql.graph.parameter_tables`, all others from the files in `sql/views/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

from ingest.dataset.relations import STORED_TABLES, StoredTable
from ingest.kernel.meant import meant
from sql.graph.names import table_names
from sql.graph.parameter_tables import parameter_relations
from sql.graph.relation import Relation
from sql.graph.stored import stored_relations
from sql.graph.view_files import read_view_files


def relations() -> Mapping[str, Relation]:
    """All relations by name, each after those that it reads."""
    # Keyed by the stored tables, so that one that is declared later is seen.
    return _ordered(tuple(STORED_TABLES.values()))


def declared() -> Mapping[str, Relation]:
    """All relations by name, in no order; of a SELECT, what it reads is not yet known."""
    return _declared(tuple(STORED_TABLES.values()))


def reads_of(name: str) -> tuple[str, ...]:
    """The relations that one reads."""
    return _reads(name, tuple(STORED_TABLES.values()))


def with_ancestors(name: str) -> list[str]:
    """A relation and all that it rests on, those that are read first."""
    found: dict[str, None] = {}

    def visit(current: str) -> None:
        if current not in found:
            for source in reads_of(current):
                visit(source)
            found[current] = None

    visit(name)
    return list(found)


def relation_hint(name: str) -> str:
    """A hint for a name that is none of a relation."""
    guess = meant(name, declared())
    return f"{f'did you mean {guess}? ' if guess else ''}`headswap views` lists the relations"


def missing_table(name: str, absent: Sequence[str]) -> StoredTable | None:
    """The stored table that a relation rests on and that a dataset lacks, None where it has all.

    absent: the names of the tables that it lacks.
    """
    found = (table for table in absent if table in with_ancestors(name))
    return next((STORED_TABLES[table] for table in found), None)


@cache
def _declared(tables: tuple[object, ...]) -> dict[str, Relation]:
    listed = [*stored_relations(), *parameter_relations(), *read_view_files()]
    found = {relation.name: relation for relation in listed}
    if len(found) != len(listed):
        raise ValueError("two relations have one name")
    return found


@cache
def _reads(name: str, tables: tuple[object, ...]) -> tuple[str, ...]:
    relation = _declared(tables)[name]
    if relation.kind != "select":
        return relation.reads
    return tuple(sorted(table_names(relation.definition) & _declared(tables).keys()))


@cache
def _ordered(tables: tuple[object, ...]) -> dict[str, Relation]:
    """Stored and parameter tables first, then by folder; each after what it reads."""
    found: dict[str, Relation] = {}
    waiting: set[str] = set()

    def visit(name: str) -> None:
        if name in found:
            return
        if name in waiting:
            raise ValueError(f"the relation {name} reads itself")
        waiting.add(name)
        reads = _reads(name, tables)
        for source in reads:
            visit(source)
        found[name] = replace(_declared(tables)[name], reads=reads)

    for name in _declared(tables):
        visit(name)
    return found
