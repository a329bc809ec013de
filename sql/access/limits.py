"""What a query may do: by default only read, in a sandbox only read this dataset, within bounds."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

from ingest.kernel.errors import HeadswapError, InputError
from sql.graph.names import EXPLAIN_PREFIX

if TYPE_CHECKING:
    from sql.engines.engine import Engine

_MEMORY = re.compile(
    r"(?P<number>\d{1,12}(\.\d+)?)\s*(?P<unit>[KMGT]?)(?P<binary>i?)B", re.IGNORECASE
)
_ASK_AGAIN_SECONDS = 0.2
_LEAST_MEMORY = 16_000_000
EXPLAIN = "explain (format json) "
_READING = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}
# A WITH clause may hold COPY ... TO, INSERT, UPDATE or DELETE, and counts as a SELECT all the same;
# the plan tells.
_WRITING_OPERATOR = re.compile(r"(BATCH_)?(COPY_TO_FILE|INSERT|UPDATE|DELETE|MERGE_INTO)", re.I)


@dataclass(frozen=True)
class Limits:
    """The bounds of queries.

    sandbox: nothing outside the dataset's own files can be read, and nothing is kept beside them;
    seconds, memory in bytes, rows of a result: None for no bound.
    """

    sandbox: bool = False
    seconds: float | None = None
    memory: int | None = None
    rows: int | None = None


SANDBOX = Limits(sandbox=True, seconds=60.0, memory=2_000_000_000, rows=100_000)


def parse_memory(text: str) -> int:
    """Reads an amount of memory, in bytes.

    >>> parse_memory("2GB"), parse_memory("1.5 GiB")
    (2000000000, 1610612736)

    Raises: InputError where it is none, or less than DuckDB can work with.
    """
    match = _MEMORY.fullmatch(text.strip())
    size = 0
    if match:
        base = 1024 if match["binary"] else 1000
        size = round(float(match["number"]) * base ** " KMGT".index(match["unit"].upper() or " "))
    if size < _LEAST_MEMORY:
        raise InputError(
            f"{text!r} is not an amount of memory that suffices", hint="for instance 2GB"
        )
    return size


def lock(connection: duckdb.DuckDBPyConnection, limits: Limits, files: list[str]) -> None:
    """Sets the bounds of a connection, for good: no query can change a setting afterwards.

    files: those that a sandbox may read, as the connection's relations name them.
    """
    # DuckDB would draw it on stdout, into the data.
    connection.execute("set enable_progress_bar = false")
    # Or a table that does not exist would be looked for among the variables of this program.
    connection.execute("set python_enable_replacements = false")
    if limits.memory is not None:
        connection.execute(f"set memory_limit = '{limits.memory}B'")
    if limits.sandbox:
        connection.execute("set allowed_paths = $paths", {"paths": files})
        connection.execute("set temp_directory = ''")
        connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


def check_reads(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: dict[str, Any] | None = None
) -> None:
    """Refuses whatever is not one statement that only reads.

    Raises: InputError where it is another; duckdb.Error where it does not parse or bind.
    """
    try:
        sql.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError("the query is no UTF-8 text", hint="write it in UTF-8") from error
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise InputError(
            f"{len(statements)} statements instead of one query",
            hint='give one query, for example "select * from swap_claims"',
        )
    kind = statements[0].type
    if kind == duckdb.StatementType.MULTI:
        raise InputError(
            "the query becomes several statements, as a PIVOT without its values does",
            hint="name the values, as in PIVOT tokens ON role IN ('task', 'step') USING count(*)",
        )
    if kind not in _READING:
        raise _not_reading(f"a {kind.name} statement")
    if kind == duckdb.StatementType.EXPLAIN:
        inner = EXPLAIN_PREFIX.sub("", sql, count=1)
        if not EXPLAIN_PREFIX.match(sql):
            raise _not_reading("this EXPLAIN statement")
        check_reads(connection, inner, parameters)
        return
    plan = connection.execute(f"{EXPLAIN}{sql}", parameters).fetchall()[0][1]
    try:
        found = next(filter(_WRITING_OPERATOR.fullmatch, _operators(json.loads(plan))), None)
    except RecursionError as error:
        raise InputError(
            "the query is nested too deeply to be seen through", hint="ask it in parts"
        ) from error
    if found is not None:
        raise _not_reading(f"a query with {found.lower().replace('_', ' ')}")


def _operators(plan: Any) -> Iterator[str]:
    for node in plan if isinstance(plan, list) else [plan]:
        yield str(node["name"])
        yield from _operators(node.get("children", []))


def _not_reading(what: str) -> InputError:
    return InputError(
        f"{what} does not only read",
        hint="a dataset is read with SELECT, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN",
    )


@contextmanager
def within(engine: Engine, seconds: float | None) -> Iterator[None]:
    """Stops whatever an engine does, within, after so many seconds.

    Raises: HeadswapError where it was stopped.
    """
    if seconds is None:
        yield
        return
    is_over = False
    is_done = threading.Event()

    def stop() -> None:
        nonlocal is_over
        is_over = True
        engine.interrupt()
        # What is only about to begin does not notice that it was asked to stop.
        while not is_done.wait(_ASK_AGAIN_SECONDS):
            engine.interrupt()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    except engine.errors as error:
        if not is_over:
            raise
        raise HeadswapError(
            f"the query was stopped after {seconds:g} s", hint="--timeout gives it longer"
        ) from error
    finally:
        is_done.set()
        timer.cancel()
