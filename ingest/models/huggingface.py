"""A saved Hugging Face model: `config.json` and `*.safetensors` in a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import transformers
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_MAPPING_NAMES,
)

from ingest.kernel.errors import InputError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

CONFIG_NAME = "config.json"


def load_huggingface(
    folder: Path, dtype: torch.dtype, trust_remote_code: bool
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Loads the model with eager attention, the only one that shows its weights.

    A model saved without a head (`BertModel`) is loaded with the head of its family, as
    TransformerLens wants it: the head's weights are random then, and no attention depends on them.

    Returns: the model on the CPU and its config as `config.json` states it.
    Raises: InputError where there is no model that transformers can load from safetensors, where
    the files lack some of its weights, or where it brings code of its own that the user did not
    allow.
    """
    config_path = folder / CONFIG_NAME
    try:
        config = json.loads(config_path.read_bytes())
        architecture = str(config["architectures"][0])
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(f"{config_path} names no architecture") from error
    model_class = getattr(transformers, architecture, None)
    if model_class is None and not (trust_remote_code and "auto_map" in config):
        hint = "use a newer transformers"
        if "auto_map" in config:
            hint = (
                "it brings code of its own; add --trust-remote-code if you trust where it is from"
            )
        raise InputError(f"{config_path}: transformers has no {architecture}", hint=hint)
    if not any(folder.glob("*.safetensors")):
        raise InputError(
            f"{folder} holds no *.safetensors",
            hint="save the model with save_pretrained; a *.bin is a pickle and is not read",
        )
    try:
        model, report = _with_head(model_class).from_pretrained(
            folder,
            dtype=dtype,
            attn_implementation="eager",
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(f"{folder}: transformers cannot load it: {reason}") from error
    # transformers fills what is missing at random and only warns.
    body = f"{model.base_model_prefix}."
    missing = sorted(key for key in report["missing_keys"] if key.startswith(body))
    if missing:
        raise InputError(
            f"{folder}: the files hold no {missing[0]} ({len(missing)} weights are missing)",
            hint=f"they were not saved from a whole {architecture}",
        )
    return model, config


def is_headless(architecture: str) -> bool:
    """Whether a class of transformers is a model without a head (`BertModel`)."""
    return architecture in _names(MODEL_MAPPING_NAMES)


def _with_head(model_class: Any) -> Any:
    """The class to load with: the given one, or for one without a head that of its family."""
    if model_class is None:
        return transformers.AutoModelForCausalLM
    if not is_headless(model_class.__name__):
        return model_class
    kind = model_class.config_class.model_type
    for mapping in (MODEL_FOR_MASKED_LM_MAPPING_NAMES, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES):
        if kind in mapping:
            return getattr(transformers, mapping[kind])
    return model_class


def _names(mapping: Mapping[str, str | tuple[str, ...]]) -> Iterator[str]:
    for names in mapping.values():
        yield from (names,) if isinstance(names, str) else names


def context_length(config: transformers.PretrainedConfig, where: Path) -> int:
    """The most tokens that a model reads.

    Raises: InputError where its config does not say.
    """
    names = (
        "max_position_embeddings",
        "n_positions",
        "max_sequence_length",
        "seq_length",
        "max_seq_len",
    )
    for name in names:
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            return value
    raise InputError(f"{where}: the model's config states no max_position_embeddings")
