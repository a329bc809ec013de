"""From the residual stream to logits: a model's final norm and unembedding, as it computes them.

The norm divides by a number that depends on the whole residual stream. With that number frozen at
the value that a forward gave it, the norm is linear, and the logit is a sum over all that was added
to the stream: each summand's part is its direct logit attribution (Elhage et al. 2021, "A
Mathematical Framework for Transformer Circuits").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ingest.kernel.errors import InputError

if TYPE_CHECKING:
    from ingest.models.loaded import LoadedModel

# Of the largest logit; what lies within is rounding.
TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2, "float16": 5e-3}
# Large beside the norm's epsilon, small enough for half precision.
_PROBE = 64.0


@dataclass(frozen=True)
class Unembedding:
    """The final norm and the unembedding of a model.

    norm, unembed: as modules. gain, bias: `[d_model]`, of the norm. is_centring: it subtracts the
    mean first, as a LayerNorm does and an RMSNorm does not.
    """

    norm: Any
    unembed: Any
    gain: torch.Tensor
    bias: torch.Tensor
    is_centring: bool

    def logits(self, residual: torch.Tensor) -> torch.Tensor:
        """The logit lens (nostalgebraist 2020): `[position, token]` of `[position, d_model]`."""
        found: torch.Tensor = self.unembed(self.norm(residual)).float()
        return found

    def directions(self, residual: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """The directions in which a vector adds to a token's logit, its dot product being the part.

        residual: `[position, d_model]`, after the last layer; tokens: `[position]`, of each the id
        of the token whose logit is meant. Returns: `[position, d_model]`, float32.
        """
        residual = residual.float()
        centred = self._centred(residual)
        normed = self.norm(residual.to(self.unembed.weight.dtype)).float() - self.bias
        # What the norm divided by, whatever its epsilon.
        scale = (centred * self.gain).norm(dim=-1, keepdim=True) / normed.norm(dim=-1, keepdim=True)
        weights = self.unembed.weight[tokens].float()
        directions: torch.Tensor = self._centred(weights * self.gain) / scale
        return directions

    def constants(self, tokens: torch.Tensor) -> torch.Tensor:
        """What the biases of norm and unembedding add to each token's logit, `[position]`."""
        found: torch.Tensor = self.unembed.weight[tokens].float() @ self.bias
        if getattr(self.unembed, "bias", None) is not None:
            found = found + self.unembed.bias[tokens].float()
        return found

    def _centred(self, vectors: torch.Tensor) -> torch.Tensor:
        return vectors - vectors.mean(-1, keepdim=True) if self.is_centring else vectors


def unembedding_of(model: LoadedModel) -> Unembedding:
    """A model's final norm and unembedding, seen from what the norm does to three vectors.

    Raises: InputError where the model is an encoder, whose head is more than that.
    """
    if not model.is_causal:
        raise InputError(
            f"model {model.name!r} ({model.architecture}) is an encoder: between its residual "
            "stream and its logits lies more than a norm and an unembedding",
            hint="name models that predict the next token with --model",
        )
    bridge: Any = model.bridge
    # The modules themselves: a call of the bridge's would count as one of the forward.
    norm, unembed = bridge.ln_final.original_component, bridge.unembed.original_component
    d_model = int(bridge.cfg.d_model)
    signs = torch.ones(d_model, device=model.device, dtype=unembed.weight.dtype)
    signs[1::2] = -1
    with torch.inference_mode():
        bias = norm((0 * signs)[None])[0].float()
        gain = (norm((_PROBE * signs)[None])[0].float() - bias) * signs.float()
        even = norm((_PROBE * signs.abs())[None])[0].float() - bias
    is_centring = bool(even.norm() < 0.5 * gain.norm())
    return Unembedding(norm, unembed, gain, bias, is_centring)


def check_logits(model: LoadedModel, found: torch.Tensor, own: torch.Tensor, what: str) -> None:
    """Holds logits against the model's own.

    Raises: InputError where they differ by more than rounding does.
    """
    allowed = TOLERANCE[model.dtype] * max(1.0, float(own.abs().max()))
    difference = float((found - own).abs().max())
    if not difference <= allowed:  # also where it is not a number
        raise InputError(
            f"model {model.name!r}: {what} differs from the model's own logits by {difference:.1e}",
            hint=f"{model.architecture} does more than a norm and an unembedding after its last "
            "layer; it cannot be read out",
        )
