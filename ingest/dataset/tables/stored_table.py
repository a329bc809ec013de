"""What a stored table is: its columns, its grain, how its files are split, checked and merged."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

# How the files of a table are split. dataset: files at the top, one more each time rows are added.
# tokenizer: the same, a file of each tokenizer. model: a folder of files for each model.
Split = Literal["dataset", "tokenizer", "model"]

# How the rows of several datasets become those of one. distinct: a row that several hold stands
# once, and datasets that say different things of it do not fit. append: no two hold the same row,
# as none holds a model on a prompt that another holds it on; files are taken over one by one,
# however large.
Merge = Literal["distinct", "append"]

# Stored types, as Arrow names them, and what SQL shows them as: engines differ in small integers
# and in single precision, so queries see 32-bit integers and doubles. `weight` is stored in the
# precision that an ingest was asked for.
SQL_TYPES = {
    "bool": "boolean",
    "int16": "integer",
    "int32": "integer",
    "int64": "bigint",
    "float32": "double",
    "float64": "double",
    "weight": "double",
    "string": "varchar",
    "list<string>": "varchar[]",
}


@dataclass(frozen=True)
class StoredColumn:
    """A column of a stored table.

    type: a key of SQL_TYPES. refers_to: `table.column` whose values it takes. may_differ: datasets
    that are merged may say different things here of one row; the first is kept.
    """

    name: str
    type: str
    meaning: str
    is_nullable: bool = False
    refers_to: str | None = None
    may_differ: bool = False

    @property
    def sql_type(self) -> str:
        return SQL_TYPES[self.type]


@dataclass(frozen=True)
class StoredTable:
    """A table of a dataset.

    grain: the columns that tell its rows apart. made_by: the command that writes it. is_optional:
    a dataset may lack it. row_rule: the function that checks its rows beyond the schema, called
    with a `ingest.dataset.verification.Verification` and the table. merge: how its rows are merged
    with those of other datasets.
    """

    name: str
    purpose: str
    grain: tuple[str, ...]
    columns: tuple[StoredColumn, ...]
    split: Split
    made_by: str
    is_optional: bool = False
    row_rule: str = "ingest.dataset.rules.row_rules.check_columns"
    merge: Merge = "distinct"

    def path(self, number: int, owner: str | None = None) -> str:
        """The path of a file below the dataset; number: how many the table, or the model, has.

        >>> from ingest.dataset.relations import STORED_TABLES
        >>> STORED_TABLES["tokens"].path(0), STORED_TABLES["tokens"].path(1)
        ('tokens.parquet', 'tokens-2.parquet')
        >>> STORED_TABLES["attention"].path(0, "adhd")
        'attention/adhd/part-00000.parquet'
        """
        if self.split == "model":
            return f"{self.name}/{owner}/part-{number:05d}.parquet"
        return f"{self.name}-{number + 1}.parquet" if number else f"{self.name}.parquet"

    @property
    def pattern(self) -> str:
        """What matches the paths of its files, and of no other table's."""
        return f"{self.name}/*/*.parquet" if self.split == "model" else f"{self.name}*.parquet"

    @property
    def layer_columns(self) -> tuple[str, ...]:
        """The columns of layers: a part of a dataset has rows of a layer where all are its own."""
        names = (column.name for column in self.columns)
        return tuple(name for name in names if re.fullmatch(r"layer(_[ab])?", name))

    def owns(self, path: str, owner: str | None) -> bool:
        """Whether a path is where a file of the table may lie; owner: of a table split by model."""
        if self.split == "model":
            return path.startswith(f"{self.name}/{owner}/") and path.count("/") == 2
        return re.fullmatch(rf"{self.name}(-\d+)?\.parquet", path) is not None

    def rule(self) -> Callable[..., None]:
        """The function that `row_rule` names."""
        module, _, function = self.row_rule.rpartition(".")
        found: Callable[..., None] = getattr(importlib.import_module(module), function)
        return found


def columns_of(*rows: tuple[Any, ...]) -> tuple[StoredColumn, ...]:
    """Columns of rows of a declaration: the fields of a StoredColumn in their order."""
    return tuple(StoredColumn(*row) for row in rows)
