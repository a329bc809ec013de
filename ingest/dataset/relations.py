"""The stored tables of a dataset, declared once: all that handles them reads these declarations.

A new kind of rows is one more `StoredTable` in `STORED_TABLES`. Manifest, writer, verification,
repair, card, SQL and documentation take it from there.
"""

from __future__ import annotations

from ingest.dataset.tables.effect_tables import (
    ABLATION_EFFECTS,
    ABLATION_KINDS,
    ATTRIBUTION_EFFECTS,
    GENERATIONS,
    HEAD_WRITES,
    LAYER_READOUTS,
    PAIR_EFFECTS,
    TOKEN_CLASS_NAME,
    TOKEN_CLASSES,
)
from ingest.dataset.tables.stored_table import (
    SQL_TYPES,
    Merge,
    Split,
    StoredColumn,
    StoredTable,
    columns_of,
)

__all__ = [
    "ABLATION_KINDS",
    "SQL_TYPES",
    "STORED_TABLES",
    "TOKEN_CLASS_NAME",
    "Merge",
    "Split",
    "StoredColumn",
    "StoredTable",
    "required_tables",
]

_MODELS = StoredTable(
    name="models",
    purpose="the models whose rows are stored",
    grain=("model",),
    columns=columns_of(
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
    columns=columns_of(
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
    columns=columns_of(
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
    columns=columns_of(
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

# In the order in which a reader meets them.
STORED_TABLES: dict[str, StoredTable] = {
    table.name: table
    for table in (
        _ATTENTION,
        _MODELS,
        _PROMPTS,
        _TOKENS,
        ABLATION_EFFECTS,
        PAIR_EFFECTS,
        ATTRIBUTION_EFFECTS,
        GENERATIONS,
        TOKEN_CLASSES,
        LAYER_READOUTS,
        HEAD_WRITES,
    )
}


def required_tables() -> list[str]:
    """The names of the tables that every dataset has."""
    return [name for name, table in STORED_TABLES.items() if not table.is_optional]
