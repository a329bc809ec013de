"""The tables of a dataset, one ``pyarrow.schema`` a table.

All indices are 0-based. A table's files hold exactly these columns, in this order; ``model`` is no
column of the attention files but the name of the folder they lie in (``attention/model=NAME/``).
"""

from __future__ import annotations

import pyarrow as pa

MODELS = pa.schema(
    [
        pa.field("model", pa.string(), nullable=False),
        pa.field("architecture", pa.string(), nullable=False),
        pa.field("n_layers", pa.int16(), nullable=False),
        pa.field("n_heads", pa.int16(), nullable=False),
        pa.field("d_model", pa.int32(), nullable=False),
        pa.field("d_head", pa.int32(), nullable=False),
        pa.field("n_ctx", pa.int32(), nullable=False),
        pa.field("d_vocab", pa.int32(), nullable=False),
        pa.field("n_parameters", pa.int64(), nullable=False),
        pa.field("is_causal", pa.bool_(), nullable=False),
        pa.field("tokenizer", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("revision", pa.string(), nullable=True),
        pa.field("weights_sha256", pa.string(), nullable=False),
        pa.field("dtype", pa.string(), nullable=False),
        pa.field("precision", pa.string(), nullable=False),
        pa.field("device", pa.string(), nullable=False),
    ]
)

PROMPTS = pa.schema(
    [
        pa.field("prompt_id", pa.int32(), nullable=False),
        pa.field("pair_id", pa.string(), nullable=True),
        pa.field("variant", pa.string(), nullable=True),
        pa.field("task", pa.string(), nullable=True),
        pa.field("steps", pa.list_(pa.string()), nullable=True),
        pa.field("complexity", pa.int16(), nullable=True),
        pa.field("text", pa.string(), nullable=False),
    ]
)

TOKENS = pa.schema(
    [
        pa.field("tokenizer", pa.string(), nullable=False),
        pa.field("prompt_id", pa.int32(), nullable=False),
        pa.field("position", pa.int32(), nullable=False),
        pa.field("token_id", pa.int32(), nullable=False),
        pa.field("token", pa.string(), nullable=False),
        pa.field("role", pa.string(), nullable=False),
        pa.field("step_index", pa.int16(), nullable=True),
        pa.field("char_start", pa.int32(), nullable=False),
        pa.field("char_end", pa.int32(), nullable=False),
        pa.field("is_structural", pa.bool_(), nullable=False),
    ]
)

ATTENTION = pa.schema(
    [
        pa.field("layer", pa.int16(), nullable=False),
        pa.field("head", pa.int16(), nullable=False),
        pa.field("prompt_id", pa.int32(), nullable=False),
        pa.field("query", pa.int32(), nullable=False),
        pa.field("key", pa.int32(), nullable=False),
        pa.field("weight", pa.float32(), nullable=False),
    ]
)

_WEIGHTS = {"float32": pa.float32(), "float16": pa.float16()}


def attention_schema(precision: str) -> pa.Schema:
    """The columns of an attention file. precision: of PRECISIONS."""
    weight = pa.field("weight", _WEIGHTS[precision], nullable=False)
    return ATTENTION.set(ATTENTION.get_field_index("weight"), weight)


TABLES: dict[str, pa.Schema] = {
    "models": MODELS,
    "prompts": PROMPTS,
    "tokens": TOKENS,
    "attention": ATTENTION,
}
