"""From `NAME=SOURCE` on the command line to a loaded model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.dataset.errors import InputError
from ingest.dataset.files import sha256_of
from ingest.dataset.manifest import MODEL_NAME_PATTERN

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

    from ingest.models.loaded import LoadedModel

DEMO_PREFIX = "demo:"
DEMO_FOLDER = Path(__file__).parents[1] / "demo" / "models"
TOKENIZER_NAME = "tokenizer.json"


@dataclass(frozen=True)
class ModelSource:
    """What the user wrote: a name for the model, and where it comes from."""

    name: str
    source: str


def parse_model_sources(arguments: Sequence[str]) -> list[ModelSource]:
    """Reads `NAME=SOURCE` arguments.

    >>> parse_model_sources(["adhd=demo:adhd"])
    [ModelSource(name='adhd', source='demo:adhd')]

    Raises: InputError where one is malformed or two have one name.
    """
    sources: list[ModelSource] = []
    for argument in arguments:
        name, equals, source = argument.partition("=")
        if not equals or not source:
            raise InputError(
                f"--model {argument!r} is not NAME=SOURCE",
                hint="for example --model adhd=demo:adhd or --model mine=path/to/folder",
            )
        if not MODEL_NAME_PATTERN.fullmatch(name):
            raise InputError(
                f"{name!r} cannot name a model",
                hint="use letters, digits, '.', '_' and '-', at most 64, starting with no sign",
            )
        if name in {earlier.name for earlier in sources}:
            raise InputError(f"two models are named {name!r}", hint="give each its own name")
        sources.append(ModelSource(name, source))
    return sources


def check_source(source: ModelSource) -> Path:
    """The folder that a source names, seen to hold a model and a tokenizer; nothing is loaded yet.

    Raises: InputError where it does not.
    """
    folder = _folder(source)
    if not folder.is_dir():
        raise InputError(
            f"model {source.name!r}: {folder} is not a folder",
            hint="SOURCE is a local folder or demo:NAME",
        )
    if not _bundle_path(folder).is_file() and not (folder / "config.json").is_file():
        raise InputError(
            f"model {source.name!r}: {folder} holds neither hooked_transformer.pt nor config.json",
            hint="give a folder with an InterpGPT bundle or a saved Hugging Face model",
        )
    if not (folder / TOKENIZER_NAME).is_file():
        raise InputError(
            f"model {source.name!r}: {folder} holds no {TOKENIZER_NAME}",
            hint="put the model's tokenizer.json into the folder",
        )
    return folder


def load_model(source: ModelSource) -> LoadedModel:
    """Loads a model and its tokenizer and builds the TransformerLens bridge around it.

    Raises: InputError where the source holds no model that headswap can run.
    """
    import torch
    from transformer_lens.model_bridge.sources import build_bridge_from_module

    from ingest.models.loaded import LoadedModel

    folder = check_source(source)
    tokenizer = _read_tokenizer(folder / TOKENIZER_NAME)
    if _bundle_path(folder).is_file():
        model, config, weights_sha256 = _load_bundle(folder)
    else:
        model, config, weights_sha256 = _load_huggingface(folder)
    architecture = type(model).__name__
    bridge = build_bridge_from_module(
        model, architecture, hf_config=model.config, dtype=torch.float32, model_name=source.name
    )
    n_ctx = _context_length(model, folder)
    _check_vocabulary(tokenizer, int(bridge.cfg.d_vocab), folder)
    parameters = {parameter.data_ptr(): parameter.numel() for parameter in model.parameters()}
    return LoadedModel(
        name=source.name,
        bridge=bridge,
        tokenizer=tokenizer,
        tokenizer_sha256=sha256_of(folder / TOKENIZER_NAME),
        source=source.source,
        revision=None,
        weights_sha256=weights_sha256,
        architecture=architecture,
        n_ctx=n_ctx,
        n_parameters=sum(parameters.values()),
        is_causal=bridge.cfg.attention_dir == "causal",
        dtype="float32",
        device="cpu",
        config=config,
    )


def _folder(source: ModelSource) -> Path:
    if not source.source.startswith(DEMO_PREFIX):
        return Path(source.source).expanduser()
    demo = source.source.removeprefix(DEMO_PREFIX)
    known = sorted(path.name for path in DEMO_FOLDER.iterdir() if path.is_dir())
    if demo not in known:
        raise InputError(
            f"there is no demo model {demo!r}", hint=f"the demo models are {', '.join(known)}"
        )
    return DEMO_FOLDER / demo


def _bundle_path(folder: Path) -> Path:
    return folder / "hooked_transformer.pt"


def _read_tokenizer(path: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exceptions
        raise InputError(f"{path} is no readable tokenizer: {error}") from error
    # What a training run left set would cut or pad prompts silently.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _load_bundle(folder: Path) -> tuple[PreTrainedModel, dict[str, Any], str]:
    from ingest.models.bundle import llama_from_bundle, read_bundle

    path = _bundle_path(folder)
    config, state = read_bundle(path)
    return llama_from_bundle(config, state, path), config, sha256_of(path)


def _load_huggingface(folder: Path) -> tuple[PreTrainedModel, dict[str, Any], str]:
    import torch
    import transformers

    config_path = folder / "config.json"
    try:
        config = json.loads(config_path.read_bytes())
        architecture = config["architectures"][0]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(f"{config_path} names no architecture") from error
    model_class = getattr(transformers, str(architecture), None)
    if model_class is None:
        raise InputError(f"{config_path}: transformers has no architecture {architecture!r}")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise InputError(
            f"{folder} holds no *.safetensors",
            hint="save the model with save_pretrained, which writes safetensors",
        )
    try:
        model = model_class.from_pretrained(
            folder,
            dtype=torch.float32,
            attn_implementation="eager",
            local_files_only=True,
            use_safetensors=True,
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{folder}: transformers cannot load it: {reason}") from error
    digests = "".join(sha256_of(path) for path in weights)
    weights_sha256 = hashlib.sha256(digests.encode()).hexdigest()
    if len(weights) == 1:
        weights_sha256 = digests
    return model.eval().requires_grad_(False), config, weights_sha256


def _context_length(model: PreTrainedModel, folder: Path) -> int:
    n_ctx = getattr(model.config, "max_position_embeddings", None)
    if not isinstance(n_ctx, int):
        raise InputError(f"{folder}: the model's config states no max_position_embeddings")
    return n_ctx


def _check_vocabulary(tokenizer: Tokenizer, d_vocab: int, folder: Path) -> None:
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    if size > d_vocab:
        raise InputError(
            f"{folder}: the tokenizer has {size} tokens, but the model embeds only {d_vocab}",
            hint="the tokenizer belongs to another model",
        )
