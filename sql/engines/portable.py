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


def check_portable(statement: exp.Expr) -> None:
    """Refuses a statement with anything in it that engines may take differently.

    Raises: NotPortableError, which names it and its place.
    """
    kinds = Kinds(statement)
    for node in statement.walk():
        _check_known(node)
        if reason := _difference(node, kinds):
            raise _refused(node, *reason)


def _check_known(node: exp.Expr) -> None:
    if type(node) in ALLOWED:
        return
    if isinstance(node, _LIST_PARAMETER) and isinstance(node.this, exp.Placeholder):
        return
    raise _refused(node, "Spark does not have it, or not quite the same", None)


def _difference(node: exp.Expr, kinds: Kinds) -> tuple[str, str | None] | None:
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


def _structure(node: exp.Expr) -> tuple[str, str | None] | None:
    is_changed_star = any(node.args.get(key) for key in ("except_", "replace", "rename"))
    differences: tuple[tuple[type[exp.Expr], bool, str, str | None], ...] = (
        (
            exp.Table,
            not isinstance(node.this, exp.Identifier)
            or any(node.args.get(key) for key in ("db", "sample", "pivots")),
            "only relations are read, by their names",
            "`headswap views` lists them",
        ),
        (exp.Tuple, not isinstance(node.parent, exp.Values), "several values as one", None),
        (
            exp.Join,
            bool(node.args.get("method")),
            f"a {node.args.get('method')} join",
            "write the condition with `on` or `using`",
        ),
        (exp.Star, is_changed_star, "not all columns are meant", "name the columns"),
        (exp.With, bool(node.args.get("recursive")), "a recursive WITH", None),
        (exp.CTE, node.args.get("materialized") is not None, "MATERIALIZED", "leave it out"),
        (
            exp.Distinct,
            bool(node.args.get("on")),
            "DISTINCT ON",
            "rank with row_number() and filter",
        ),
        (
            exp.Distinct,
            len(node.expressions) > 1,
            "DISTINCT of several values, of which engines leave out other nulls",
            None,
        ),
        (exp.SetOperation, bool(node.args.get("by_name")), "BY NAME", "name the columns"),
    )
    return next(
        ((why, hint) for kind, is_so, why, hint in differences if isinstance(node, kind) and is_so),
        None,
    )


def _cast(node: exp.Cast, kinds: Kinds) -> tuple[str, str | None] | None:
    to, of = OF_TYPE.get(node.to.this), kinds.of(node.this)
    if to is None or type(node) is not exp.Cast:
        return "a type or a cast that Spark does not have, or not quite the same", None
    if isinstance(node.this, exp.Null):
        return None
    if (
        to == "whole"
        and of not in ("whole", "text", "boolean")
        and not _is_rounded(node.this, kinds)
    ):
        return (
            "a cast to a whole number rounds in DuckDB and cuts off in Spark",
            "write round(x)::integer or floor(x)::integer",
        )
    if to == "text" and of not in ("whole", "text"):
        return "engines write such a value as different text", None
    return None


def _is_rounded(node: exp.Expr, kinds: Kinds) -> bool:
    """Whether a number is whole whatever its type."""
    if isinstance(node, exp.Least | exp.Greatest):
        return all(_is_rounded(part, kinds) for part in node.iter_expressions())
    is_round = isinstance(node, exp.Round) and node.args.get("decimals") is None
    return is_round or isinstance(node, exp.Floor | exp.Ceil) or kinds.of(node) == "whole"


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


def _pattern(node: exp.Expr) -> tuple[str, str | None] | None:
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


def _refused(node: exp.Expr, why: str, hint: str | None) -> NotPortableError:
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
