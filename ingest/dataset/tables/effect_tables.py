"""The stored tables of what heads do: ablations, generated texts, read-outs; all optional."""

from __future__ import annotations

import re
from typing import Any

from ingest.dataset.tables.stored_table import StoredTable, columns_of

# What stands for what an ablated head mixes; `ablation_effects.kind` says what each means.
ABLATION_KINDS = ("zero", "mean", "resample")
# What `token_classes.token_class` may be.
TOKEN_CLASS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

# What an ablation changes at one position, whatever is ablated.
_PREDICTIONS: tuple[tuple[Any, ...], ...] = (
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
)

ABLATION_EFFECTS = StoredTable(
    name="ablation_effects",
    purpose="what ablating a head changes in the predictions of its model, token by token",
    grain=("model", "kind", "layer", "head", "prompt_id", "position"),
    columns=columns_of(
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
        *_PREDICTIONS,
    ),
    split="model",
    made_by="ablate",
    is_optional=True,
    row_rule="ingest.dataset.rules.ablation_rules.check_ablations",
    merge="append",
)

PAIR_EFFECTS = StoredTable(
    name="pair_effects",
    purpose="what ablating two heads together changes in the predictions of their model",
    grain=("model", "kind", "layer_a", "head_a", "layer_b", "head_b", "prompt_id", "position"),
    columns=columns_of(
        ("model", "string", "name of the model in this dataset", False, "models.model"),
        ("kind", "string", "what stands for what either head mixes, as in ablation_effects"),
        ("layer_a", "int16", "layer of the first head, 0-based; the heads in order of their index"),
        ("head_a", "int16", "the first head, 0-based within its layer"),
        ("layer_b", "int16", "layer of the second head"),
        ("head_b", "int16", "the second head"),
        ("prompt_id", "int32", "joins prompts", False, "prompts.prompt_id"),
        *_PREDICTIONS,
    ),
    split="model",
    made_by="ablate --pairs HEAD+HEAD",
    is_optional=True,
    row_rule="ingest.dataset.rules.ablation_rules.check_pairs",
    merge="append",
)

ATTRIBUTION_EFFECTS = StoredTable(
    name="attribution_effects",
    purpose="what attribution patching estimates that ablating a head changes, prompt by prompt",
    grain=("model", "kind", "layer", "head", "prompt_id"),
    columns=columns_of(
        ("model", "string", "name of the model in this dataset", False, "models.model"),
        ("kind", "string", "what stands for what the head mixes, as in ablation_effects"),
        ("layer", "int16", "of the head, 0-based"),
        ("head", "int16", "0-based within its layer"),
        ("prompt_id", "int32", "joins prompts", False, "prompts.prompt_id"),
        ("n_positions", "int32", "positions of the prompt with a true token to predict"),
        (
            "estimated_delta_loss_nats",
            "float32",
            "the first-order change of the mean loss over these, ablated less whole: the loss's "
            "gradient times what the ablation changes; null without any",
            True,
        ),
    ),
    split="model",
    made_by="ablate --method attribution",
    is_optional=True,
    row_rule="ingest.dataset.rules.ablation_rules.check_attributions",
    merge="append",
)

GENERATIONS = StoredTable(
    name="generations",
    purpose="texts that models generated, whole and with heads ablated",
    grain=("model", "prompt_set", "sampling", "ablation", "kind", "seed", "prompt_key"),
    columns=columns_of(
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

TOKEN_CLASSES = StoredTable(
    name="token_classes",
    purpose="which tokens each class of the read-outs holds",
    grain=("tokenizer", "token_class", "token_id"),
    columns=columns_of(
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

LAYER_READOUTS = StoredTable(
    name="layer_readouts",
    purpose="the logit lens: how probable a class of tokens is after each layer",
    grain=("model", "token_class", "layer", "prompt_id", "position"),
    columns=columns_of(
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

HEAD_WRITES = StoredTable(
    name="head_writes",
    purpose="what each head adds to the residual stream, position by position",
    grain=("model", "layer", "head", "prompt_id", "position"),
    columns=columns_of(
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
