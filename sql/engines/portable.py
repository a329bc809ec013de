"""Which SQL means the same in DuckDB and in Spark: what was seen to, and nothing else.

Everything in a statement must be on the lists below, whose entries tests run on both engines. A
function that is missing here is refused, however well it could be translated.
"""

from __future__ import annotations

import re

from sqlglot import exp

from ingest.kernel.errors import InputError
from sql.engines.kinds import OF_TYPE, Kinds

_STRUCTURE = (
    *(exp.Select, exp.From, exp.Join, exp.Where, exp.Group, exp.Having, exp.Order, exp.Ordered),
    *(exp.Limit, exp.Offset, exp.With, exp.CTE, exp.Subquery, exp.Union, exp.Intersect, exp.Except),
    *(exp.Table, exp.TableAlias, exp.Identifier, exp.Column, exp.Alias, exp.Star, exp.Values),
    *(exp.Tuple, exp.Distinct, exp.Qualify, exp.Window, exp.WindowSpec, exp.Filter),
    *(exp.Literal, exp.Boolean, exp.Null, exp.Placeholder, exp.Paren, exp.Cast, exp.DataType),
)
_OPERATORS = (
    *(exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Is),
    *(exp.NullSafeEQ, exp.NullSafeNEQ, exp.In, exp.Between, exp.Like, exp.Exists),
    *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.DPipe),
    *(exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.Least, exp.Greatest),
)
_FUNCTIONS = (
    *(exp.Count, exp.Sum, exp.Avg, exp.Min, exp.Max, exp.ArgMax, exp.ArgMin, exp.Median),
    *(exp.PercentileCont, exp.VariancePop, exp.Variance, exp.StddevPop, exp.Stddev),
    *(exp.LogicalOr, exp.LogicalAnd, exp.RowNumber, exp.Rank, exp.DenseRank, exp.Lag, exp.Lead),
    *(exp.FirstValue, exp.LastValue, exp.Abs, exp.Sqrt, exp.Ln, exp.Exp, exp.Pow, exp.Round),
    *(exp.Floor, exp.Ceil, exp.Length, exp.Substring, exp.RegexpExtract, exp.RegexpLike),
)
ALLOWED = frozenset((*_STRUCTURE, *_OPERATORS, *_FUNCTIONS))
# In queries of ours, which are given lists of numbers.
_LIST_PARAMETER = exp.Explode
_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between, exp.In)
# Nothing that the two engines' regular expressions read differently.
_PATTERN = re.compile(r"[\w \-^$()\[\]{}+*?|,.:;@/=]*")
_SHOWN = 60


class NotPortableError(InputError):
    """SQL that could mean something else in Spark than in DuckDB."""


def check_portable(statement: exp.Expression) -> None:
    """Refuses a statement with anything in it that engines may take differently.

    Raises: NotPortableError, which names it and its place.
    """
    kinds = Kinds(statement)
    for node in statement.walk():
        _check_known(node)
        if reason := _difference(node, kinds):
            raise _refused(node, *reason)


def _check_known(node: exp.Expression) -> None:
    if type(node) in ALLOWED:
        return
    if isinstance(node, _LIST_PARAMETER) and isinstance(node.this, exp.Placeholder):
        return
    raise _refused(node, "Spark does not have it, or not quite the same", None)


def _difference(node: exp.Expression, kinds: Kinds) -> tuple[str, str | None] | None:
    """What differs in one node, and what to write in its place; None where nothing does."""
    found: tuple[str, str | None] | None = None
    if isinstance(node, exp.Cast):
        found = _cast(node, kinds)
    elif isinstance(node, exp.Literal) and kinds.of(node) == "decimal":
        found = _decimal(node, kinds)
    elif isinstance(node, exp.IntDiv):
        if {kinds.of(node.this), kinds.of(node.expression)} != {"whole"}:
            found = ("// divides only whole numbers alike", "write floor(a / b)")
    elif isinstance(node, exp.DPipe):
        if {kinds.of(node.this), kinds.of(node.expression)} - {"text", "whole"}:
            found = ("engines write such a value as different text", "join texts and whole numbers")
    elif isinstance(node, exp.Like | exp.RegexpLike | exp.RegexpExtract):
        found = _pattern(node)
    elif isinstance(node, exp.Substring):
        start = node.args.get("start")
        if not isinstance(start, exp.Literal) or int(start.this) < 1:
            found = ("the start is no number from 1 on", None)
    else:
        found = _structure(node)
    return found


def _structure(node: exp.Expression) -> tuple[str, str | None] | None:
    if isinstance(node, exp.Table):
        is_name = isinstance(node.this, exp.Identifier)
        if not is_name or node.args.get("db") or node.args.get("sample") or node.args.get("pivots"):
            return "only relations are read, by their names", "`headswap views` lists them"
    elif isinstance(node, exp.Join):
        if node.method:
            return f"a {node.method} join", "write the condition with `on` or `using`"
    elif isinstance(node, exp.Star):
        if any(node.args.get(key) for key in ("except_", "replace", "rename")):
            return "the columns that * stands for are changed", "name the columns"
    elif isinstance(node, exp.With):
        if node.recursive:
            return "a recursive WITH", None
    elif isinstance(node, exp.CTE):
        if node.args.get("materialized") is not None:
            return "MATERIALIZED", "leave it out"
    elif isinstance(node, exp.Distinct):
        if node.args.get("on"):
            return "DISTINCT ON", "rank with row_number() and filter"
        if len(node.expressions) > 1:
            return "DISTINCT of several values, of which engines leave out other nulls", None
    elif isinstance(node, exp.Union | exp.Intersect | exp.Except) and node.args.get("by_name"):
        return "BY NAME", "name the columns in one order"
    return None


def _cast(node: exp.Cast, kinds: Kinds) -> tuple[str, str | None] | None:
    to, of = OF_TYPE.get(node.to.this), kinds.of(node.this)
    is_null = isinstance(node.this, exp.Null)
    if to is None or type(node) is not exp.Cast:
        return "a type or a cast that Spark does not have, or not quite the same", None
    if to == "whole" and of not in ("whole", "text", "boolean") and not is_null:
        if not isinstance(node.this.unnest(), exp.Round | exp.Floor | exp.Ceil):
            is_least = isinstance(node.this, exp.Least | exp.Greatest)
            parts = node.this.iter_expressions() if is_least else ()
            if not is_least or not all(
                kinds.of(part) == "whole" or isinstance(part, exp.Floor) for part in parts
            ):
                return (
                    "a cast to a whole number rounds in DuckDB and cuts off in Spark",
                    "write round(x)::integer or floor(x)::integer",
                )
    if to == "text" and of not in ("whole", "text") and not is_null:
        return "engines write such a value as different text", None
    return None


def _decimal(node: exp.Literal, kinds: Kinds) -> tuple[str, str | None] | None:
    """A number such as 0.5 is a DECIMAL; beside a double it is one, too."""
    parent, child = node.parent, node
    while isinstance(parent, exp.Neg | exp.Paren):
        parent, child = parent.parent, parent  # type: ignore[assignment]
    if isinstance(parent, exp.PercentileCont) and child is parent.expression:
        return None
    others = [part for part in parent.iter_expressions() if part is not child] if parent else []
    of_others = {kinds.of(part) for part in others}
    if isinstance(parent, _COMPARISONS) and "single" not in of_others:
        return None
    if isinstance(parent, exp.Add | exp.Sub | exp.Mul | exp.Div) and of_others == {"double"}:
        return None
    return f"{node.this} is a DECIMAL, which engines calculate with differently", (
        f"write {node.this}e0"
    )


def _pattern(node: exp.Expression) -> tuple[str, str | None] | None:
    pattern = node.expression
    if not isinstance(pattern, exp.Literal) or not pattern.is_string:
        return "its pattern is not written out", None
    if isinstance(node, exp.Like):
        if "\\" in pattern.this or node.args.get("escape"):
            return "engines escape differently", "write a pattern without \\"
    elif not _PATTERN.fullmatch(pattern.this):
        return "engines may read its pattern differently", (
            "write one of letters, digits, groups, classes and repetitions, without \\"
        )
    return None


def _refused(node: exp.Expression, why: str, hint: str | None) -> NotPortableError:
    text = " ".join(node.sql("duckdb").split())
    shown = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    line = next(
        (part.meta["line"] for part in node.walk() if "line" in part.meta),
        None,
    )
    place = f" (line {line})" if line else ""
    return NotPortableError(
        f"the engine spark does not run {shown!r}{place}: {why}",
        hint=hint or "run it with the engine duckdb, or write it with other functions",
    )
