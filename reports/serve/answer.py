"""One question, answered in a process of its own and within bounds, as JSON for the page Ask."""

from __future__ import annotations

import json
import math
import multiprocessing
import time
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import singledispatch
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.kernel.errors import HeadswapError
from sql.access.confine import GRACE_SECONDS, bound_memory, out_of_memory
from sql.access.limits import Limits

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    import duckdb

    from sql.parameters import Parameters

# A browser holds whole numbers up to this as they are.
_MOST_SAFE = 2**53 - 1
# By the names of DuckDB's types; all others are text.
_KINDS = {
    **dict.fromkeys(("tinyint", "smallint", "integer", "bigint", "hugeint"), "number"),
    **dict.fromkeys(("utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"), "number"),
    **dict.fromkeys(("float", "double", "decimal"), "number"),
    "boolean": "truth",
    **dict.fromkeys(("date", "timestamp"), "time"),
}


@dataclass(frozen=True)
class Asking:
    """Of which dataset, with which parameters and within which bounds questions are asked.

    limits: of a sandbox; rows: of more, the first are given, and that they are not all.
    """

    place: Path | str
    parameters: Parameters
    limits: Limits


class Answering:
    """A question that is being answered, which can be ended at any time.

    Each runs in a process that is made from one that has done nothing yet, as a process that has
    threads cannot be copied soundly.
    """

    def __init__(self, asking: Asking, sql: str) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, "sql.session"])
        self._seconds = asking.limits.seconds
        self._reading, writing = context.Pipe(duplex=False)
        self._process: BaseProcess = context.Process(
            target=_answer, args=(asking, sql, writing), daemon=True
        )
        self._process.start()
        self._is_ended = False
        writing.close()

    def wait(self) -> bytes:
        """The result as JSON: columns with their names and kinds, rows, is_cut and seconds.

        Raises: InputError where the question is refused; HeadswapError where it took more time or
        memory than it may, or was ended.
        """
        patience = None if self._seconds is None else self._seconds + GRACE_SECONDS
        try:
            if not self._reading.poll(patience):
                raise HeadswapError(f"the question was stopped after {self._seconds:g} s")
            made: bytes | HeadswapError = self._reading.recv()
        except (EOFError, OSError):  # the latter in the middle of an answer
            self._process.join()
            raise self._why_none() from None
        finally:
            self._process.kill()
        if isinstance(made, HeadswapError):
            raise made
        return made

    def end(self) -> None:
        """Ends the process, whatever it does."""
        self._is_ended = True
        self._process.kill()

    def _why_none(self) -> HeadswapError:
        """What is said of a process that is gone and has not answered."""
        if self._is_ended:
            return HeadswapError("the question was stopped")
        if (self._process.exitcode or 0) < 0:
            return out_of_memory()
        return HeadswapError(  # a bug, whose traceback the process has printed
            "the question was not answered: its process failed",
            hint="the terminal that the pages are served from says with what",
        )


def _answer(asking: Asking, sql: str, writing: Connection) -> None:
    """What the process does."""
    try:
        assert asking.limits.memory is not None  # every sandbox has a bound
        bound_memory(asking.limits.memory)
        writing.send(_result(asking, sql))
    except MemoryError:
        writing.send(out_of_memory())
    except HeadswapError as error:
        writing.send(error)


def _result(asking: Asking, sql: str) -> bytes:
    from sql.session import open_session

    n_rows = asking.limits.rows
    assert n_rows is not None
    began = time.perf_counter()
    limits = replace(asking.limits, rows=None)
    with (
        open_session(asking.place, asking.parameters, limits) as session,
        session.ask(sql, at_most=n_rows + 1) as relation,
    ):
        # The engine computes no more than these need.
        rows = relation.limit(n_rows + 1).fetchall()
        columns = _columns(relation)
    result = {
        "columns": columns,
        "rows": [list(map(plain, row)) for row in rows[:n_rows]],
        "is_cut": len(rows) > n_rows,
        "seconds": time.perf_counter() - began,
    }
    return json.dumps(result, allow_nan=False, separators=(",", ":")).encode()


def _columns(relation: duckdb.DuckDBPyRelation) -> list[dict[str, str]]:
    return [
        {"name": name, "kind": kind(str(type_))}
        for name, type_ in zip(relation.columns, relation.types, strict=True)
    ]


def kind(type_: str) -> str:
    """What the page does with a column of a type of DuckDB's: number, truth, time or text.

    >>> kind("DECIMAL(4,2)"), kind("TIMESTAMP_NS"), kind("DOUBLE[]")
    ('number', 'time', 'text')
    """
    name = type_.lower()
    if name.endswith("]"):
        return "text"
    return _KINDS.get(name.partition("(")[0].split("_")[0].split(" ")[0], "text")


@singledispatch
def plain(value: Any) -> Any:
    r"""A value as JSON can hold it, and as the page's own engine would give it.

    >>> plain(float("nan")), plain(2**60), plain(Decimal("1.5")), plain(b"a\x00")
    ('NaN', '1152921504606846976', 1.5, '\\x61\\x0')
    """
    return str(value)


@plain.register(type(None))
@plain.register(bool)
@plain.register(str)
def _as_it_is(value: Any) -> Any:
    return value


@plain.register
def _whole(value: int) -> int | str:
    return value if abs(value) <= _MOST_SAFE else str(value)


@plain.register
def _fraction(value: float) -> float | str:
    if math.isfinite(value):
        return value
    # As JavaScript writes it.
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


@plain.register
def _decimal(value: Decimal) -> float:
    return float(value)


@plain.register
def _bytes(value: bytes) -> str:
    return "".join(f"\\x{byte:x}" for byte in value)


@plain.register
def _fields(value: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    return {str(name): plain(item) for name, item in value.items()}


@plain.register(list)
@plain.register(tuple)
def _items(value: Any) -> list[Any]:
    return list(map(plain, value))
