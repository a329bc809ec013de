"""What DuckDB refuses, as a message that knows the dataset: what was found, what was meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import duckdb

from ingest.kernel.errors import InputError
from ingest.kernel.meant import listed, meant
from sql.access.limits import EXPLAIN
from sql.graph.catalog import declared, relation_hint

_CLASS = re.compile(r"^(Binder|Catalog|Parser|Conversion) Error: ")
_NO_TABLE = re.compile(r"Table with name (\w+) does not exist")
_NO_COLUMN = re.compile(
    r'Referenced column "(?P<alone>.+?)" not found in FROM clause'
    r'|Table "(?P<table>\w+)" does not have a column named "(?P<of>.+?)"'
    r'|Column "(?P<joined>.+?)" does not exist on left side of join'
)
_NO_NUMBER = re.compile(r"Could not convert string '(.*?)' to (?:U?INT|DECIMAL|DOUBLE|FLOAT)")
_SYNTAX = re.compile(r'syntax error at or near "(.+?)"$')
_DID_YOU_MEAN = re.compile(r'^Did you mean "(.+?)"\?$', re.M)
_CANDIDATES = re.compile(r"^Candidate bindings: :? ?(.+)$", re.M)
_HEAD = re.compile(r"L(\d+)H(\d+)|L(\d+)|H(\d+)", re.I)
_QUOTES = "\"'‘’“”„`´"
_KEYWORDS = (
    *("select", "distinct", "from", "where", "group", "having", "qualify", "order", "limit"),
    *("inner", "left", "join", "using", "union", "with", "between", "like", "filter", "over"),
)
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class _Asked:
    """A query that was refused. relations: those that it names; models: those of the dataset."""

    sql: str
    relations: Sequence[str]
    models: Sequence[str]

    def columns(self) -> list[str]:
        """The columns of its relations, each once."""
        found = (column.name for name in self.relations for column in declared()[name].columns)
        return list(dict.fromkeys(found))


def query_error(
    error: duckdb.Error, sql: str, relations: Sequence[str], models: Sequence[str]
) -> InputError:
    """DuckDB's refusal of a query as one message.

    A query that fails is the user's to mend, whether it does not parse or runs out of memory.

    relations: those that the query names; models: the names of the dataset's.
    """
    text, _, where = str(error).partition("\n\nLINE ")
    first_line = _CLASS.sub("", " ".join(text.split("\n", 1)[0].split()))
    asked = _Asked(sql, relations, models)
    message, hint = f"the query failed: {first_line}", _hint_of_duckdb(text)
    for pattern, explain in _EXPLAINED:
        if match := pattern.search(first_line):
            message, hint = explain(match, asked) or (message, hint)
            break
    line = where.partition(": ")[2].split("\n", 1)[0].removeprefix(EXPLAIN).strip()
    # Of a result that is written, DuckDB shows the statement that writes it.
    place = f" (at {line[:80]})" if line and line.strip(".") in sql else ""
    return InputError(f"{message}{place}", hint=hint)


# Of each kind of refusal: the message and the hint; None where there is nothing to add.
_Explained = tuple[str, str | None] | None


def _no_table(match: re.Match[str], asked: _Asked) -> _Explained:
    return f"there is no relation {match[1]!r}", relation_hint(match[1])


def _no_column(match: re.Match[str], asked: _Asked) -> _Explained:
    name = match["alone"] or match["of"] or match["joined"]
    where = f" in {', '.join(asked.relations)}" if asked.relations else ""
    message = f"there is no column {name!r}{where}"
    guess = meant(name, asked.columns())
    if guess is None and match["table"] is None and (value := _value_meant(name, asked)):
        what = "double quotes name" if f'"{name}"' in asked.sql else "a bare word names"
        return message, f"{what} a column, a text stands in single quotes: '{value}'"
    if guess:
        return message, f"did you mean {guess}?{_columns_hint(asked)}"
    others = [r.name for r in declared().values() if any(c.name == name for c in r.columns)]
    if others:
        return message, f"there is one in {listed(others)}"
    return message, _columns_hint(asked).strip() or None


def _columns_hint(asked: _Asked) -> str:
    """Where the columns are listed, as the end of a hint."""
    return f" `headswap views {asked.relations[0]}` lists the columns" if asked.relations else ""


def _value_meant(name: str, asked: _Asked) -> str | None:
    """The text that a word was to be, where it was probably no name of a column."""
    bare = name.strip(_QUOTES)
    # Unquoted, a model's name ends at its first dash.
    longer = [model for model in asked.models if model.startswith(bare) and model in asked.sql]
    is_quoted = f'"{name}"' in asked.sql or bare != name
    is_head = _HEAD.fullmatch(bare) is not None
    return max(longer, key=len, default=bare if is_quoted or is_head else None)


def _no_number(match: re.Match[str], asked: _Asked) -> _Explained:
    message = f"the query failed: {match[1]!r} is no number"
    head = _HEAD.fullmatch(match[1])
    if not head:
        return message, None
    layer, number = head[1] or head[3], head[2] or head[4]
    parts = [f"layer = {int(layer)}" if layer else "", f"head = {int(number)}" if number else ""]
    numbers = " and ".join(filter(None, parts))
    name = f"; the view heads has names: label = '{match[1].upper()}'" if layer and number else ""
    return message, f"layers and heads are numbers: {numbers}{name}"


def _syntax(match: re.Match[str], asked: _Asked) -> _Explained:
    words = _WORD.findall(asked.sql)
    message = f"the query failed: {match[0]}"
    if len(words) == 1 and words[0].lower() in declared():
        return message, f'a query is a SELECT: "select * from {words[0].lower()}"'
    # What does not parse is the word found, or the one before it, which was read as a name.
    before = asked.sql[: max(asked.sql.lower().rfind(match[1].lower()), 0)]
    for word in (match[1], *_WORD.findall(before)[-1:]):
        if word.lower() in ("order", "group") and word != match[1]:
            return message, f"did you mean {word.lower()} by?"
        guess = meant(word, _KEYWORDS)
        if guess and guess != word.lower():
            return message, f"did you mean {guess}?"
    if match[1].lower() == "order" and re.search(r"\blimit\b", before, re.I):
        return message, "ORDER BY stands before LIMIT"
    if re.search(r"\bselect\s+top\s*$", before, re.I):
        return message, f"there is no TOP; the query ends in LIMIT {match[1]}"
    return None


def _not_grouped(match: re.Match[str], asked: _Asked) -> _Explained:
    return f"the query failed: {match[0]}", "GROUP BY ALL groups by whatever is not aggregated"


def _not_closed(match: re.Match[str], asked: _Asked) -> _Explained:
    return f"the query failed: {match[0]}", "a text ends with a second single quote"


def _hint_of_duckdb(text: str) -> str | None:
    """What DuckDB itself suggests, below the first line of its message."""
    if found := _DID_YOU_MEAN.search(text) or _CANDIDATES.search(text):
        return f"did you mean {found[1]}?"
    return None


_EXPLAINED: Iterable[tuple[re.Pattern[str], Callable[[re.Match[str], _Asked], _Explained]]] = (
    (_NO_TABLE, _no_table),
    (_NO_COLUMN, _no_column),
    (_NO_NUMBER, _no_number),
    (_SYNTAX, _syntax),
    (re.compile("unterminated string literal"), _not_closed),
    (re.compile(r'column ".+" must appear in the GROUP BY clause'), _not_grouped),
)
