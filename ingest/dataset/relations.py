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

# What stands for what an ablated head mixes; `ablation_effects.kind` says what each means.
ABLATION_KINDS = ("zero", "mean", "resample")
# What `token_classes.token_class` may be.
TOKEN_CLASS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


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
        ("architecture", "string", "class of the model in transformers", True),
        ("n_layers", "int16", "attention layers"),
        ("n_heads", "int16", "query heads a layer"),
        ("d_model", "int32", "width of the residual stream", True),
        ("d_head", "int32", "width of a head", True),
        ("n_ctx", "int32", "most tokens that the model reads", True),
        ("d_vocab", "int32", "tokens that the model embeds", True),
        ("n_parameters", "int64", "shared ones counted once", True),
        ("is_causal", "bool", "true where a query sees no later key"),
        ("tokenizer", "string", "joins tokens"),
        (
            "source",
            "string",
            "where the model came from, as its ingest named it",
            False,
            None,
            True,
        ),
        ("revision", "string", "commit of the source, null for local files", True),
        ("weights_sha256", "string", "hash of the weights' file", True),
        ("dtype", "string", "precision in which the model ran"),
        ("precision", "string", "of the stored weights: float32 as given, float16 rounded"),
        ("device", "string", "where it ran", True),
    ),
    split="dataset",
    made_by="ingest",
    row_rule="ingest.dataset.rules.row_rules.check_models",
)

_PROMPTS = StoredTable(
    name="prompts",
    purpose="the prompts that every model read",
    grain=("prompt_id",),
    columns=_columns(
        ("prompt_id", "int32", "0-based position of the prompt in the file that it came from"),
        ("prompt_key", "string", "hash of the prompt's content, the same in every dataset"),
        ("pair_id", "string", "the task that the variants of a pair share", True),
        (
            "variant",
            "string",
            "how the steps are written, standard for instance; of a probe its name",
            True,
        ),
        ("task", "string", "what is to be done", True),
        ("steps", "list<string>", "how to do it; of a probe the parts of its text", True),
        ("complexity", "int16", "how much there is to do, where the prompt file says so", True),
        ("text", "string", "the whole prompt with its markers, which character offsets count in"),
    ),
    split="dataset",
    made_by="ingest",
    row_rule="ingest.dataset.rules.row_rules.check_prompts",
)

_TOKENS = StoredTable(
    name="tokens",
    purpose="what stands at each position of each prompt",
    grain=("tokenizer", "prompt_id", "position"),
    columns=_columns(
        ("tokenizer", "string", "joins models"),
        ("prompt_id", "int32", "joins prompts", False, "prompts.prompt_id"),
        ("position", "int32", "0-based; a query or a key of attention"),
        ("token_id", "int32", "the tokenizer's number for the token", True),
        ("token", "string", "the token decoded on its own"),
        ("role", "string", "marker, task or step; in a plain text special or text"),
        (
            "step_index",
            "int16",
            "0-based step, or part of a probe, of the token; null outside",
            True,
        ),
        ("char_start", "int32", "first character of the token in the prompt's text, 0-based", True),
        ("char_end", "int32", "the character after its last", True),
        ("is_structural", "bool", "true where the token marks layout: structural mass counts it"),
    ),
    split="tokenizer",
    made_by="ingest",
    row_rule="ingest.dataset.rules.row_rules.check_tokens",
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
    row_rule="ingest.dataset.rules.row_rules.check_attention",
    merge="append",
)

_ABLATION_EFFECTS = StoredTable(
    name="ablation_effects",
    purpose="what ablating a head changes in the predictions of its model, token by token",
    grain=("model", "kind", "layer", "head", "prompt_id", "position"),
    columns=_columns(
        ("model", "string", "name of the model in this dataset", False, "models.model"),
        (
            "kind",
            "string",
            "what stands for what the head mixes: zero, nothing; mean, its mean over all positions "
            "of all prompts; resample, that of another prompt at the same position or its last",
        ),
        ("layer", "int16", "of the ablated head, 0-based"),
        ("head", "int16", "0-based within its layer"),
        ("prompt_id", "int32", "joins prompts", False, "prompts.prompt_id"),
        (
            "position",
            "int32",
            "of the token from which the next is predicted, 0-based; for an encoder, of the masked "
            "token, which is predicted",
        ),
        (
            "delta_loss_nats",
            "float32",
            "loss of the true token, ablated less whole: above 0 where the head helped; null where "
            "no token follows",
            True,
        ),
        ("kl_nats", "float32", "divergence of the ablated model's prediction from the whole's"),
        ("probability_before", "float32", "of the true token, whole; null as above", True),
        ("probability_after", "float32", "of the true token, ablated; null as above", True),
        ("top_token_before", "string", "the token that the whole model finds most probable"),
        ("top_token_after", "string", "the one that the ablated model finds most probable"),
    ),
    split="model",
    made_by="ablate",
    is_optional=True,
    row_rule="ingest.dataset.rules.ablation_rules.check_ablations",
    merge="append",
)

_GENERATIONS = StoredTable(
    name="generations",
    purpose="texts that models generated, whole and with heads ablated",
    grain=("model", "prompt_set", "sampling", "ablation", "kind", "seed", "prompt_key"),
    columns=_columns(
        ("model", "string", "name of the model in this dataset", False, "models.model"),
        ("prompt_set", "string", "the prompts that were given together, by a hash of them all"),
        ("sampling", "string", "how tokens were chosen: temperature, top-k, most new tokens"),
        ("ablation", "string", "ablated heads, L3H5 or L2H0+L3H5; none for the whole model"),
        ("kind", "string", "how they were ablated, zero for instance; none for the whole model"),
        ("seed", "int32", "seed of the random draws, with the prompt's key"),
        ("prompt_key", "string", "key of the prompt, made of its content"),
        (
            "prompt_id",
            "int32",
            "joins prompts; null where the dataset lacks the prompt",
            True,
            "prompts.prompt_id",
        ),
        ("task", "string", "what is to be done; null for a plain text", True),
        ("complexity", "int16", "how much there is to do, where the prompt says so", True),
        ("prompt", "string", "the text that was continued"),
        ("text", "string", "what the model wrote, markers written out"),
        ("steps", "list<string>", "the steps in it; null for a plain text", True),
        ("n_steps", "int32", "how many; null for a plain text", True),
        ("n_regulation_steps", "int32", "those that begin with a regulation phrase", True),
        ("regulation_phrases", "list<string>", "these phrases; null where none were given", True),
        ("n_tokens", "int32", "tokens that the model wrote, that which ended it included"),
        ("is_complete", "bool", "true where the model ended the text itself"),
    ),
    split="model",
    made_by="generate",
    is_optional=True,
    row_rule="ingest.dataset.rules.effect_rules.check_generations",
    merge="append",
)

_TOKEN_CLASSES = StoredTable(
    name="token_classes",
    purpose="which tokens each class of the read-outs holds",
    grain=("tokenizer", "token_class", "token_id"),
    columns=_columns(
        ("tokenizer", "string", "joins models"),
        ("token_class", "string", "name of the class"),
        ("token_id", "int32", "the tokenizer's number for the token"),
        ("token", "string", "the token decoded on its own"),
        ("phrases", "list<string>", "the phrases of the class that begin with it"),
    ),
    split="tokenizer",
    made_by="readout",
    is_optional=True,
)

_LAYER_READOUTS = StoredTable(
    name="layer_readouts",
    purpose="the logit lens: how probable a class of tokens is after each layer",
    grain=("model", "token_class", "layer", "prompt_id", "position"),
    columns=_columns(
        ("model", "string", "name of the model in this dataset", False, "models.model"),
        ("token_class", "string", "joins token_classes", False, "token_classes.token_class"),
        ("layer", "int16", "0-based; the residual stream after it is read out"),
        ("prompt_id", "int32", "joins prompts", False, "prompts.prompt_id"),
        ("position", "int32", "of the token from which the next is predicted, 0-based"),
        ("probability", "float32", "of all tokens of the class together, 0 to 1"),
    ),
    split="model",
    made_by="readout",
    is_optional=True,
    row_rule="ingest.dataset.rules.effect_rules.check_readouts",
    merge="append",
)

_HEAD_WRITES = StoredTable(
    name="head_writes",
    purpose="what each head adds to the residual stream, position by position",
    grain=("model", "layer", "head", "prompt_id", "position"),
    columns=_columns(
        ("model", "string", "name of the model in this dataset", False, "models.model"),
        ("layer", "int16", "0-based"),
        ("head", "int16", "0-based within its layer"),
        ("prompt_id", "int32", "joins prompts", False, "prompts.prompt_id"),
        ("position", "int32", "0-based"),
        ("output_norm", "float32", "length of what the head adds here, the layer's bias left out"),
        (
            "direct_logit",
            "float32",
            "what that adds to the logit of the true next token, the final norm's scale frozen; "
            "null at the last position",
            True,
        ),
        (
            "value_norm",
            "float32",
            "length of the value vector of this position, as a key, after the output matrix",
        ),
    ),
    split="model",
    made_by="readout",
    is_optional=True,
    row_rule="ingest.dataset.rules.effect_rules.check_head_writes",
    merge="append",
)

# In the order in which a reader meets them.
STORED_TABLES: dict[str, StoredTable] = {
    table.name: table
    for table in (
        _ATTENTION,
        _MODELS,
        _PROMPTS,
        _TOKENS,
        _ABLATION_EFFECTS,
        _GENERATIONS,
        _TOKEN_CLASSES,
        _LAYER_READOUTS,
        _HEAD_WRITES,
    )
}


def required_tables() -> list[str]:
    """The names of the tables that every dataset has."""
    return [name for name, table in STORED_TABLES.items() if not table.is_optional]
