"""From the files of a model to a TransformerLens bridge that was seen to tell the truth."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch
import transformers
from tokenizers import Tokenizer
from transformer_lens.model_bridge.sources import build_bridge_from_module

from ingest.kernel.errors import HeadswapError, InputError
from ingest.kernel.files import sha256_of
from ingest.models.bundle_file import read_bundle
from ingest.models.gpt2_bundle import gpt2_from_bundle
from ingest.models.huggingface import context_length, is_headless, load_huggingface
from ingest.models.llama_bundle import llama_from_bundle
from ingest.models.loaded import LoadedModel
from ingest.producers.patterns import capture_patterns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from transformers import PreTrainedModel

    from ingest.models.options import LoadOptions
    from ingest.models.source import ModelFiles, ModelSource

# Which family a bundle may be; the family then checks all that its config says.
_FAMILIES = {"rotary": llama_from_bundle, "standard": gpt2_from_bundle}
_CHECK_TOKENS = 8
_CHECK_TOLERANCE = 1e-4


def load_model(source: ModelSource, files: ModelFiles, options: LoadOptions) -> LoadedModel:
    """Loads a model and its tokenizer and builds the TransformerLens bridge around it.

    Raises: InputError where the files hold no model that headswap can run, or the device is not
    there; HeadswapError where the bridge's patterns are not the model's own.
    """
    device = _device(options.device)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("transformer_lens").setLevel(logging.ERROR)
    tokenizer = read_tokenizer(files.tokenizer)
    dtype: torch.dtype = getattr(torch, options.dtype)
    if files.bundle:
        config, state = read_bundle(files.bundle)
        build = _family(config, files.bundle)
        model: PreTrainedModel = build(config, state, files.bundle).to(dtype)
    else:
        model, config = load_huggingface(files.folder, dtype, options.trust_remote_code)
    if files.untrained_seed is not None:
        _draw_weights(model, files.untrained_seed)
    model = model.to(device).eval().requires_grad_(False)
    _keep_no_cache(model)
    architecture = type(model).__name__
    n_ctx = context_length(model.config, files.folder)
    named = architecture if files.bundle else str(config["architectures"][0])
    counted = model.base_model if is_headless(named) else model
    parameters = {parameter.data_ptr(): parameter.numel() for parameter in counted.parameters()}
    own_patterns = _own_patterns(model, min(_CHECK_TOKENS, n_ctx))
    try:
        bridge = build_bridge_from_module(
            model, architecture, hf_config=model.config, dtype=dtype, model_name=source.name
        )
    except (ValueError, KeyError, AttributeError, NotImplementedError) as error:
        raise InputError(
            f"{files.folder}: TransformerLens does not support {architecture}",
            hint="its documentation lists the supported architectures",
        ) from error
    d_vocab = int(model.get_input_embeddings().num_embeddings)
    _check_vocabulary(tokenizer, d_vocab, files.tokenizer)
    loaded = LoadedModel(
        name=source.name,
        bridge=bridge,
        tokenizer=tokenizer,
        tokenizer_sha256=sha256_of(files.tokenizer),
        source=source.source,
        revision=files.revision,
        weights_sha256=files.weights_sha256(),
        architecture=named,
        n_ctx=n_ctx,
        d_vocab=d_vocab,
        n_parameters=sum(parameters.values()),
        is_causal=bridge.cfg.attention_dir == "causal",
        dtype=options.dtype,
        precision=options.precision,
        device=device.type,
        trust_remote_code=options.trust_remote_code,
        config=config,
    )
    _check_bridge(loaded, own_patterns)
    return loaded


def _keep_no_cache(model: PreTrainedModel) -> None:
    """Keys and values of all layers serve to generate text; here they would only take memory."""
    for module in model.modules():
        if isinstance(getattr(module, "config", None), transformers.PretrainedConfig):
            module.config.use_cache = False


def _draw_weights(model: PreTrainedModel, seed: int) -> None:
    """Replaces all weights by those of a new model of the class, drawn as training would start."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = type(model)(model.config)
    model.load_state_dict(fresh.state_dict(), strict=True)


def _family(
    config: Mapping[str, Any], where: Path
) -> Callable[[Mapping[str, Any], Mapping[str, torch.Tensor], Path], PreTrainedModel]:
    """What builds a bundle's model."""
    kind = config.get("positional_embedding_type")
    if kind not in _FAMILIES:
        raise InputError(
            f"{where}: positional_embedding_type = {kind!r} is not supported",
            hint="headswap maps Llama-like (rotary) and GPT-2-like (standard) bundles",
        )
    return _FAMILIES[kind]


def _device(name: str) -> torch.device:
    available = {"cpu": True, "cuda": torch.cuda.is_available()}
    available["mps"] = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if available[kind]))
    if not available[name]:
        raise InputError(f"this machine has no {name}", hint="leave --device out")
    return torch.device(name)


def read_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer that neither cuts nor pads.

    Raises: InputError where the file is none.
    """
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exceptions
        raise InputError(f"{path} is no readable tokenizer: {error}") from error
    # What a training run left set would cut or pad prompts silently.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _check_vocabulary(tokenizer: Tokenizer, d_vocab: int, path: Path) -> None:
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if largest >= d_vocab:
        raise InputError(
            f"{path}: the tokenizer numbers tokens up to {largest}, "
            f"but the model embeds only {d_vocab}",
            hint="the tokenizer belongs to another model",
        )


def _check_ids(n_tokens: int) -> list[int]:
    return list(range(n_tokens))


def _own_patterns(model: PreTrainedModel, n_tokens: int) -> list[torch.Tensor]:
    """The model's own attention `[head, query, key]` a layer, before the bridge changes it."""
    ids = torch.tensor([_check_ids(n_tokens)], device=model.device)
    with torch.inference_mode():
        attentions = model(input_ids=ids, output_attentions=True).attentions
    if not attentions or any(layer is None for layer in attentions):
        raise InputError(f"{type(model).__name__} does not show its attention")
    return [layer[0].float().cpu() for layer in attentions]


def _check_bridge(model: LoadedModel, own: list[torch.Tensor]) -> None:
    n_tokens = own[0].shape[-1]
    largest = [0.0]

    def compare(layer: int, pattern: torch.Tensor) -> None:
        difference = (pattern[0].float().cpu() - own[layer]).abs().max()
        largest[0] = max(largest[0], float(difference))

    capture_patterns(model, [_check_ids(n_tokens)], n_tokens, compare)
    if not largest[0] <= _CHECK_TOLERANCE:  # also where it is not a number
        raise HeadswapError(
            f"model {model.name!r}: TransformerLens's patterns differ from the model's own by "
            f"{largest[0]:.1e} (at most {_CHECK_TOLERANCE:.0e} is accepted)",
            hint="nothing was written; try --dtype float32, or report the architecture",
        )
