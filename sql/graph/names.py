"""Which tables a statement names, as DuckDB's own parser sees it."""

from __future__ import annotations

import atexit
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

# DuckDB's parser shows every statement that reads as a tree, but not EXPLAIN: what follows it is
# looked at.
EXPLAIN_PREFIX = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*explain\s+(?:analyze\s+|\([^()]*\)\s*)*", re.I | re.S
)
WORD = re.compile(r"\w+")
_OPTIONS = "skip_null := true, skip_empty := true, skip_default := true"


def table_names(sql: str) -> frozenset[str]:
    """The names of tables in one statement, in lower case; none where it does not parse.

    Names that a WITH clause defines are not among them.

    >>> sorted(
    ...     table_names("with m as (select * from Models) select * from m join heads using (model)")
    ... )
    ['heads', 'models']
    >>> sorted(table_names("select count(*) as claims from models -- matches"))
    ['models']
    """
    try:
        # A statement that cannot be shown is refused where it is run, with DuckDB's message.
        statements = json.loads(serialized(sql)).get("statements", [])
        return frozenset(_names_in(statements, frozenset()) if len(statements) == 1 else ())
    except RecursionError:
        # Deeper than Python's stack, as a sum of 900 terms is: every word may be a name.
        return frozenset(WORD.findall(EXPLAIN_PREFIX.sub("", sql, count=1).lower()))


def serialized(sql: str) -> str:
    """A statement as DuckDB's parser sees it, as JSON; of EXPLAIN, what it explains."""
    bare = EXPLAIN_PREFIX.sub("", sql, count=1)
    show = f"select json_serialize_sql(?, {_OPTIONS})"
    ((text,),) = _connection().execute(show, [bare]).fetchall()
    return str(text)


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    import duckdb  # not at the top: the list of relations needs none of it

    connection = duckdb.connect(":memory:")  # which only parses
    atexit.register(_connection.cache_clear)  # or DuckDB complains of it at the end of a program
    return connection


def _names_in(node: Any, defined: frozenset[str]) -> Iterator[str]:
    """Walks a tree; defined: the names that WITH clauses around it hide."""
    if isinstance(node, list):
        for item in node:
            yield from _names_in(item, defined)
    if not isinstance(node, dict):
        return
    if node.get("type") == "BASE_TABLE" and node["table_name"].lower() not in defined:
        yield node["table_name"].lower()
    for entry in node.get("cte_map", {}).get("map", ()):
        name, query = entry["key"].lower(), entry["value"]["query_node"]
        is_recursive = query.get("type") == "RECURSIVE_CTE_NODE"
        yield from _names_in(query, defined | {name} if is_recursive else defined)
        defined |= {name}
    for key, value in node.items():
        if key != "cte_map":
            yield from _names_in(value, defined)
