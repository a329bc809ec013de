"""A model that was loaded, whatever it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingest.models.source import tokenizer_name

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformer_lens.model_bridge import TransformerBridge


@dataclass(frozen=True)
class LoadedModel:
    """A TransformerLens bridge ready to run, with what the dataset records about it.

    source, revision: as the user named it, and the commit it resolved to (None for local files).
    config: the architecture's numbers as the source states them, JSON values only.
    """

    name: str
    bridge: TransformerBridge
    tokenizer: Tokenizer
    tokenizer_sha256: str
    source: str
    revision: str | None
    weights_sha256: str
    architecture: str
    n_ctx: int
    d_vocab: int
    n_parameters: int
    is_causal: bool
    dtype: str
    precision: str
    device: str
    trust_remote_code: bool
    config: dict[str, Any]

    @property
    def n_layers(self) -> int:
        return int(self.bridge.cfg.n_layers)

    @property
    def n_heads(self) -> int:
        return int(self.bridge.cfg.n_heads)

    @property
    def tokenizer_name(self) -> str:
        return tokenizer_name(self.tokenizer_sha256)

    def row(self) -> dict[str, Any]:
        """The model as a row of the table `models`."""
        return {
            "model": self.name,
            "architecture": self.architecture,
            "n_layers": self.n_layers,
            "n_heads": self.n_heads,
            "d_model": int(self.bridge.cfg.d_model),
            "d_head": int(self.bridge.cfg.d_head),
            "n_ctx": self.n_ctx,
            "d_vocab": self.d_vocab,
            "n_parameters": self.n_parameters,
            "is_causal": self.is_causal,
            "tokenizer": self.tokenizer_name,
            "source": self.source,
            "revision": self.revision,
            "weights_sha256": self.weights_sha256,
            "dtype": self.dtype,
            "precision": self.precision,
            "device": self.device,
        }
