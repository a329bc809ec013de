"""A saved Hugging Face model: `config.json` and `*.safetensors` in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import transformers

from ingest.dataset.errors import InputError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

CONFIG_NAME = "config.json"


def load_huggingface(
    folder: Path, dtype: torch.dtype, trust_remote_code: bool
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Loads the model with eager attention, the only one that shows its weights.

    Returns: the model on the CPU and its config as `config.json` states it.
    Raises: InputError where there is no model that transformers can load from safetensors, or
    where it brings code of its own that the user did not allow.
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
        model = (model_class or transformers.AutoModelForCausalLM).from_pretrained(
            folder,
            dtype=dtype,
            attn_implementation="eager",
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
        )
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(f"{folder}: transformers cannot load it: {reason}") from error
    return model, config


def context_length(config: transformers.PretrainedConfig, where: Path) -> int:
    """The most tokens that a model reads.

    Raises: InputError where its config does not say.
    """
    for name in ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            return value
    raise InputError(f"{where}: the model's config states no max_position_embeddings")
