"""Values and tables as SQL writes them."""

from __future__ import annotations

from collections.abc import Sequence


def literal(value: object) -> str:
    """A value as SQL writes it.

    >>> literal("it's"), literal(None), literal(0.5)
    ("'it''s'", 'null', '0.5')
    """
    if value is None:
        return "null"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def insert_rows(name: str, rows: Sequence[Sequence[object]]) -> str | None:
    """The statement that fills a table; None where there is nothing to fill it with."""
    if not rows:
        return None
    values = ", ".join(f"({', '.join(map(literal, row))})" for row in rows)
    return f'insert into "{name}" values {values}'
