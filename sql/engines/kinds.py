"""What kind of value an expression of DuckDB's SQL has, as far as that is plain from its text.

Engines treat whole numbers, single and double precision and text differently; a cast to an integer,
for instance, rounds in DuckDB and cuts off in Spark, and only of a whole number it is the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from sqlglot import exp

from sql.graph.catalog import declared

# single: a number of 32 bits. None: nothing is known.
Kind = Literal["whole", "double", "single", "decimal", "text", "boolean", "list"] | None

# The types that views and queries may name, and casts may lead to, as DuckDB's parser has them.
OF_TYPE: dict[exp.DType, Kind] = {
    exp.DType.SMALLINT: "whole",
    exp.DType.INT: "whole",
    exp.DType.BIGINT: "whole",
    exp.DType.DOUBLE: "double",
    exp.DType.FLOAT: "single",
    exp.DType.TEXT: "text",
    exp.DType.VARCHAR: "text",
    exp.DType.BOOLEAN: "boolean",
    exp.DType.ARRAY: "list",
}
_OF_COLUMN: dict[str, Kind] = {
    "smallint": "whole",
    "integer": "whole",
    "bigint": "whole",
    "double": "double",
    "float": "single",
    "varchar": "text",
    "boolean": "boolean",
}
_OF_FUNCTION: dict[type[exp.Expr], Kind] = {
    exp.Count: "whole",
    exp.RowNumber: "whole",
    exp.Rank: "whole",
    exp.DenseRank: "whole",
    exp.Length: "whole",
    exp.Avg: "double",
    exp.Median: "double",
    exp.PercentileCont: "double",
    exp.VariancePop: "double",
    exp.StddevPop: "double",
    exp.Variance: "double",
    exp.Stddev: "double",
    exp.Sqrt: "double",
    exp.Ln: "double",
    exp.Exp: "double",
    exp.Pow: "double",
    exp.Div: "double",
    exp.RegexpExtract: "text",
    exp.Substring: "text",
    exp.DPipe: "text",
}
_BOOLEAN = (
    *(exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Is, exp.In, exp.Between, exp.Like),
    *(exp.And, exp.Or, exp.Not, exp.NullSafeEQ, exp.NullSafeNEQ, exp.RegexpLike, exp.Exists),
    *(exp.Boolean, exp.LogicalOr, exp.LogicalAnd),
)
# What has the kind of what it is made of.
_OF_PARTS = (
    *(exp.Add, exp.Sub, exp.Mul, exp.Mod, exp.Neg, exp.Abs, exp.Paren, exp.Least, exp.Greatest),
    *(exp.Coalesce, exp.Nullif, exp.Sum, exp.Min, exp.Max, exp.Lag, exp.Lead, exp.FirstValue),
    *(exp.LastValue, exp.Filter, exp.Window, exp.ArgMax, exp.ArgMin, exp.Distinct),
)
_WIDTH = ("whole", "decimal", "single", "double")


class Kinds:
    """The kinds of the expressions of one statement, from the columns of what it reads."""

    def __init__(self, statement: exp.Expr) -> None:
        names = {table.name.lower() for table in statement.find_all(exp.Table)}
        self._columns: dict[str, set[Kind]] = {}
        for name in names & declared().keys():
            for column in declared()[name].columns:
                kind = "list" if column.type.endswith("[]") else _OF_COLUMN.get(column.type)
                self._columns.setdefault(column.name, set()).add(kind)
        self._aliases: dict[str, list[exp.Expr]] = {}
        for alias in statement.find_all(exp.Alias):
            self._aliases.setdefault(alias.alias.lower(), []).append(alias.this)
        for values in statement.find_all(exp.Values):
            for place, name in enumerate(values.alias_column_names):
                rows = [row.expressions[place] for row in values.expressions]
                self._aliases.setdefault(name.lower(), []).extend(rows)
        self._asked: set[str] = set()

    def of(self, node: exp.Expr | None) -> Kind:
        """The kind of an expression; None where it is not plain."""
        if node is None:
            return None
        if isinstance(node, exp.Cast):
            return OF_TYPE.get(node.to.this)
        if isinstance(node, exp.Literal):
            return _of_literal(node)
        if isinstance(node, exp.Column):
            return self._of_column(node.name.lower())
        if isinstance(node, _BOOLEAN):
            return "boolean"
        return self._of_call(node)

    def _of_call(self, node: exp.Expr) -> Kind:
        if isinstance(node, exp.Case):
            results = [branch.args["true"] for branch in node.args["ifs"]]
            return self._of_all([*results, node.args.get("default")])
        if isinstance(node, exp.Round | exp.Floor | exp.Ceil):
            inner = self.of(node.this)
            return inner if inner == "whole" else "double"
        if isinstance(node, exp.Subquery | exp.Select):
            outputs = node.selects
            return self.of(outputs[0].unalias()) if len(outputs) == 1 else None
        if isinstance(node, exp.Filter | exp.Window | exp.ArgMax | exp.ArgMin | exp.Sum | exp.Lag):
            return self.of(node.this)
        if isinstance(node, _OF_PARTS):
            return self._of_all(node.iter_expressions())
        return _OF_FUNCTION.get(type(node))

    def _of_all(self, nodes: Iterable[exp.Expr | None]) -> Kind:
        """Of numbers the widest; of other things theirs, where they have one."""
        kinds = {
            self.of(node)
            for node in nodes
            if node is not None and not isinstance(node, exp.Null | exp.Ordered | exp.Order)
        }
        if len(kinds) == 1:
            return kinds.pop()
        if kinds and all(kind in _WIDTH for kind in kinds):
            return max(kinds, key=lambda kind: _WIDTH.index(str(kind)))
        return None

    def _of_column(self, name: str) -> Kind:
        found = set(self._columns.get(name, ()))
        if name not in self._asked:  # else an alias that is made of a column of its name
            self._asked.add(name)
            made_of = (made for made in self._aliases.get(name, ()) if not _is_same(made, name))
            found |= {self.of(made) for made in made_of}
            self._asked.remove(name)
        return found.pop() if len(found) == 1 else None


def _is_same(node: exp.Expr, name: str) -> bool:
    """Whether what an alias names is a column of that name, so that it says nothing new."""
    return isinstance(node, exp.Column) and node.name.lower() == name


def _of_literal(node: exp.Literal) -> Kind:
    if node.is_string:
        return "text"
    text = str(node.this).lower()
    if "e" in text:
        return "double"
    return "decimal" if "." in text else "whole"
