"""What a relation declares: name, purpose, grain, columns, and how its rows come about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# stored: files of the dataset. parameters: rows made of what was asked and of the manifest.
# select: one SELECT. computed: a Python function, where SQL cannot.
Kind = Literal["stored", "parameters", "select", "computed"]
# view: evaluated by each query. table: computed once a session. kept: computed once, kept beside
# the data.
Storage = Literal["view", "table", "kept"]

# Kinds and folders of relations with the headings that they are listed under, in reading order.
SUBJECTS = {
    "stored": "Stored tables",
    "parameters": "What is asked",
    "data": "Heads, prompts and rows",
    "profiles": "Profiles",
    "scores": "Head scores",
    "similarity": "Similarity",
    "chance": "Matches against chance, and claims",
    "groups": "Groups of models",
    "effects": "What heads do: read-outs and generated text",
}


@dataclass(frozen=True)
class Column:
    """A column: its type as DuckDB names it, unit and meaning in words."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True)
class Relation:
    """A node of the graph.

    definition: the SELECT, or the dotted name of the function that computes the rows; empty for
    what is stored or made of parameters. reads: the relations that it reads, in their order of
    building. subject: the folder of its .sql file, or its kind. made_by: the command that writes a
    stored table.
    """

    name: str
    kind: Kind
    subject: str
    purpose: str
    grain: tuple[str, ...]
    columns: tuple[Column, ...]
    storage: Storage
    definition: str = ""
    reads: tuple[str, ...] = ()
    made_by: str | None = None


def create_table(relation: Relation, again: bool = False) -> str:
    """The statement that makes an empty table with a relation's columns.

    again: in place of one of that name, if there is one.
    """
    columns = ", ".join(f'"{column.name}" {column.type}' for column in relation.columns)
    return f'create {"or replace " * again}table "{relation.name}" ({columns})'
