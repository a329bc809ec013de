"""The stored tables of a dataset, declared once: all that handles them reads these declarations.

A new kind of rows is one more `StoredTable` in `STORED_TABLES`. Manifest, writer, verification,
repair, card, SQL and documentation take it from there.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

# How the files of a table are split. dataset: files at the top, one more each time rows are added.
# tokenizer: the same, a file of each tokenizer. model: a folder of files for each model.
Split = Literal["dataset", "tokenizer", "model"]

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

    type: a key of SQL_TYPES. refers_to: `table.column` whose values it takes.
    """

    name: str
    type: str
    meaning: str
    is_nullable: bool = False
    refers_to: str | None = None

    @property
    def sql_type(self) -> str:
        return SQL_TYPES[self.type]


@dataclass(frozen=True)
class StoredTable:
    """A table of a dataset.

    grain: the columns that tell its rows apart. made_by: the command that writes it. is_optional:
    a dataset may lack it. row_rule: the function that checks its rows beyond the schema, called
    with a `ingest.dataset.verification.Verification` and the table.
    """

    name: str
    purpose: str
    grain: tuple[str, ...]
    columns: tuple[StoredColumn, ...]
    split: Split
    made_by: str
    is_optional: bool = False
    row_rule: str = "ingest.dataset.row_rules.check_columns"

    def path(self, number: int, owner: str | None = None) -> str:
        """The path of a file below the dataset; number: how many the table, or the model, has.

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


def _columns(*rows: tuple[Any, ...]) -> tuple[StoredColumn, ...]:
    return tuple(StoredColumn(*row) for row in rows)


_MODELS = StoredTable(
    name="models",
    purpose="the models whose rows are stored",
    grain=("model",),
    columns=_columns(
        ("model", "string", "name of the model in this dataset"),
        ("architecture", "string", "class of the model in transformers"),
        ("n_layers", "int16", "attention layers"),
        ("n_heads", "int16", "query heads a layer"),
        ("d_model", "int32", "width of the residual stream"),
        ("d_head", "int32", "width of a head"),
        ("n_ctx", "int32", "most tokens that the model reads"),
        ("d_vocab", "int32", "tokens that the model embeds"),
        ("n_parameters", "int64", "shared ones counted once"),
        ("is_causal", "bool", "true where a query sees no later key"),
        ("tokenizer", "string", "joins tokens"),
        ("source", "string", "where the model came from, as its ingest named it"),
        ("revision", "string", "commit of the source, null for local files", True),
        ("weights_sha256", "string", "hash of the weights' file"),
        ("dtype", "string", "precision in which the model ran"),
        ("precision", "string", "of the stored weights: float32 as given, float16 rounded"),
        ("device", "string", "where it ran"),
    ),
    split="dataset",
    made_by="ingest",
    row_rule="ingest.dataset.row_rules.check_models",
)

_PROMPTS = StoredTable(
    name="prompts",
    purpose="the prompts that every model read",
    grain=("prompt_id",),
    columns=_columns(
        ("prompt_id", "int32", "0-based position of the prompt in the file that it came from"),
        ("prompt_key", "string", "hash of the prompt's content, the same in every dataset"),
        ("pair_id", "string", "the task that the variants of a pair share", True),
        ("variant", "string", "how the steps are written, standard or adhd for instance", True),
        ("task", "string", "what is to be done", True),
        ("steps", "list<string>", "how to do it", True),
        ("complexity", "int16", "how much there is to do, where the prompt file says so", True),
        ("text", "string", "the whole prompt with its markers, which character offsets count in"),
    ),
    split="dataset",
    made_by="ingest",
    row_rule="ingest.dataset.row_rules.check_prompts",
)

_TOKENS = StoredTable(
    name="tokens",
    purpose="what stands at each position of each prompt",
    grain=("tokenizer", "prompt_id", "position"),
    columns=_columns(
        ("tokenizer", "string", "joins models"),
        ("prompt_id", "int32", "joins prompts", False, "prompts.prompt_id"),
        ("position", "int32", "0-based; a query or a key of attention"),
        ("token_id", "int32", "the tokenizer's number for the token"),
        ("token", "string", "the token decoded on its own"),
        ("role", "string", "marker, task or step; in a plain text special or text"),
        ("step_index", "int16", "0-based step that the token belongs to, null outside", True),
        ("char_start", "int32", "first character of the token in the prompt's text, 0-based"),
        ("char_end", "int32", "the character after its last"),
        ("is_structural", "bool", "true where the token marks layout: structural mass counts it"),
    ),
    split="tokenizer",
    made_by="ingest",
    row_rule="ingest.dataset.row_rules.check_tokens",
)

_ATTENTION = StoredTable(
    name="attention",
    purpose="every stored attention weight",
    grain=("model", "layer", "head", "prompt_id", "query", "key"),
    columns=_columns(
        ("model", "string", "name of the model in this dataset", False, "models.model"),
        ("layer", "int16", "0-based"),
        ("head", "int16", "0-based within its layer"),
        ("prompt_id", "int32", "joins prompts and tokens", False, "prompts.prompt_id"),
        ("query", "int32", "position that looks, 0-based"),
        ("key", "int32", "position that is looked at, 0-based; causal models store key <= query"),
        ("weight", "weight", "attention after the softmax; the weights of a query sum to 1"),
    ),
    split="model",
    made_by="ingest",
    row_rule="ingest.dataset.row_rules.check_attention",
)

# In the order in which a reader meets them.
STORED_TABLES: dict[str, StoredTable] = {
    table.name: table for table in (_ATTENTION, _MODELS, _PROMPTS, _TOKENS)
}


def required_tables() -> list[str]:
    """The names of the tables that every dataset has."""
    return [name for name, table in STORED_TABLES.items() if not table.is_optional]
