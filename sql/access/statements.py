"""Where the statements of a typed text end, as DuckDB's own tokenizer sees it."""

from __future__ import annotations

import duckdb


def split_statements(text: str) -> tuple[list[str], str]:
    r"""The statements that end in a semicolon, and what was begun after the last one.

    A semicolon in a text, a name or a comment ends nothing, and a comment alone begins nothing.

    >>> split_statements("select 1; select ';'; -- done")
    (['select 1', "select ';'"], '')
    >>> split_statements("select 1; select\n")
    (['select 1'], 'select\n')
    """
    try:
        content = text.encode()  # the offsets count bytes
    except UnicodeEncodeError:
        return [text], ""  # is refused where it is asked
    statements, start, is_begun = [], 0, False
    for offset, kind in duckdb.tokenize(text):
        if kind == duckdb.token_type.comment:
            continue
        if content[offset : offset + 1] != b";" or kind != duckdb.token_type.operator:
            is_begun = True
        elif is_begun:
            statements.append(content[start:offset].decode().strip())
            start, is_begun = offset + 1, False
        else:
            start = offset + 1
    return statements, content[start:].decode().lstrip() if is_begun else ""
