"""DuckDB's SQL in Spark's words, by sqlglot, where both mean the same; the rest is refused."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sqlglot import ErrorLevel, exp, parse
from sqlglot.errors import SqlglotError

from ingest.kernel.errors import InputError
from sql.engines.kinds import Kinds
from sql.engines.portable import NotPortableError, check_portable

# What it says of statements that it does not know is said by the refusal.
logging.getLogger("sqlglot").setLevel(logging.ERROR)
# Of a SELECT with QUALIFY, what goes around it.
_AROUND = {"order", "limit", "offset", "with_", "qualify"}
_QUALIFIES = "is_qualified"
_Rewrite = Callable[[exp.Expr, Kinds], exp.Expr]


def parsed(sql: str) -> exp.Expr:
    """One query that only reads, as a tree.

    Raises: InputError where it is none.
    """
    try:
        statements = [part for part in parse(sql, dialect="duckdb") if part is not None]
    except (SqlglotError, RecursionError) as error:
        reason = str(error).split("\n", 1)[0] or "it is nested too deeply"
        raise InputError(f"the query cannot be read: {reason}") from error
    if len(statements) != 1:
        raise InputError(
            f"{len(statements)} statements instead of one query",
            hint='give one query, for example "select * from swap_claims"',
        )
    (statement,) = statements
    if not isinstance(statement, exp.Query):
        raise InputError(
            "the engine spark runs only SELECT",
            hint="`headswap views` lists the relations and their columns",
        )
    return statement


def spark_sql(sql: str) -> str:
    """A query for Spark.

    >>> spark_sql("select round(value, 2) as value from head_scores where layer < $n")
    'SELECT (ROUND((`value`) * 1e2) / 1e2) AS `value` FROM `head_scores` WHERE `layer` < :n'

    Raises: InputError where it is no single query; NotPortableError where it could mean something
    else in Spark.
    """
    statement = parsed(sql)
    check_portable(statement)
    kinds = Kinds(statement)
    rewritten = statement.transform(_rewritten, kinds)
    for select in list(rewritten.find_all(exp.Select)):
        _without_qualify(select)
    try:
        return rewritten.sql(
            "spark", identify=True, comments=False, unsupported_level=ErrorLevel.RAISE
        )
    except SqlglotError as error:
        reason = str(error).split("\n", 1)[0]
        raise NotPortableError(
            f"the engine spark does not run it: {reason}", hint="run it with the engine duckdb"
        ) from error


def spark_type(duckdb_type: str) -> str:
    """The name of a type.

    >>> spark_type("varchar"), spark_type("double[]")
    ('STRING', 'ARRAY<DOUBLE>')
    """
    return exp.DataType.build(duckdb_type, dialect="duckdb").sql("spark")


def _rewritten(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    rewrite = _REWRITES.get(type(node))
    return rewrite(node, kinds) if rewrite else node


def _round(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """DuckDB rounds the product with a power of ten; Spark the shortest decimal of the number."""
    digits = node.args.get("decimals")
    if digits is None or kinds.of(node.this) == "whole":
        return node
    scale = exp.Literal.number(f"1e{digits.this}")
    product = exp.Mul(this=exp.paren(node.this, copy=False), expression=scale)
    return exp.paren(exp.Div(this=exp.Round(this=product), expression=scale.copy()), copy=False)


def _whole_double(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """Spark's floor and ceil give integers, DuckDB's doubles."""
    return node if kinds.of(node.this) == "whole" else exp.cast(node, "double")


def _logarithm(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """Spark's is null where DuckDB's is minus infinity, at 0, or not a number, below."""
    zero = exp.Literal.number("0")
    return (
        exp.case()
        .when(exp.EQ(this=node.this.copy(), expression=zero), _double("-Infinity"))
        .when(exp.LT(this=node.this.copy(), expression=zero.copy()), _double("NaN"))
        .else_(node)
    )


def _double(text: str) -> exp.Expr:
    return exp.cast(exp.Literal.string(text), "double")


def _best(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    """DuckDB's arg_max leaves out rows whose argument is null."""
    is_there = exp.Not(this=exp.Is(this=exp.paren(node.this.copy()), expression=exp.Null()))
    node.set("expression", exp.case().when(is_there, node.expression))
    return node


def _percentile(node: exp.Expr, kinds: Kinds) -> exp.Expr:
    return exp.Anonymous(this="percentile", expressions=[node.this, node.expression])


_REWRITES: dict[type[exp.Expr], _Rewrite] = {
    exp.Round: _round,
    exp.Floor: _whole_double,
    exp.Ceil: _whole_double,
    exp.Ln: _logarithm,
    exp.ArgMax: _best,
    exp.ArgMin: _best,
    exp.PercentileCont: _percentile,
}


def _without_qualify(select: exp.Select) -> None:
    """Filters, orders and limits around a SELECT that has its QUALIFY as one more column.

    Names in it are those of columns before those of the result, as in DuckDB; sqlglot takes them
    the other way round, and filters after ORDER BY and LIMIT.

    Raises: NotPortableError where its order is not by columns of the result.
    """
    if not select.args.get("qualify"):
        return
    names = select.named_selects
    group = select.args.get("group")
    for is_so, what in (
        ("*" in names or "" in names, "*, or a column without a name"),
        (select.args.get("distinct") is not None, "DISTINCT"),
        (bool(group and group.args.get("all")), "GROUP BY ALL"),
    ):
        if is_so:
            raise NotPortableError(
                f"the engine spark does not run QUALIFY beside {what}",
                hint="name the columns, or filter in a SELECT around it",
            )
    order = select.args.get("order")
    for term in order.expressions if order else ():
        term.set("this", _output(term.this, select))
    inner = exp.Select(
        **{key: value for key, value in select.args.items() if key not in _AROUND and value}
    )
    condition = exp.alias_(exp.paren(select.args["qualify"].this), _QUALIFIES)
    inner.set("expressions", [*select.expressions, condition])
    for key in {*select.args, "qualify"} - (_AROUND - {"qualify"}):
        select.set(key, None)
    select.set("expressions", [exp.column(name) for name in names])
    select.set("from_", exp.From(this=inner.subquery("qualified")))
    select.set("where", exp.Where(this=exp.column(_QUALIFIES)))


def _output(term: exp.Expr, select: exp.Select) -> exp.Expr:
    """The column of a SELECT's result that an ORDER BY means."""
    for column, name in zip(select.expressions, select.named_selects, strict=True):
        is_named = isinstance(term, exp.Column) and not term.table and term.name == name
        if is_named or term == column.unalias():
            return exp.column(name)
    raise NotPortableError(
        f"the engine spark orders what QUALIFY leaves only by columns of the result, "
        f"not by {term.sql('duckdb')!r}",
        hint="select it as well",
    )
