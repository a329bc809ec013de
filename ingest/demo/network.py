"""The demo models' network in plain torch: the family of the released pair, small.

RMSNorm before attention and MLP, rotary positions (half-half, base 10,000), causal attention,
SwiGLU, no biases, and the unembedding tied to the embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """The sizes of a network; the defaults are the demo models'."""

    d_vocab: int
    n_layers: int = 6
    n_heads: int = 8
    d_model: int = 96
    d_head: int = 12
    d_mlp: int = 264
    n_ctx: int = 256
    eps: float = 1e-6
    rotary_base: int = 10_000


class RMSNorm(nn.Module):
    """Divides by the root mean square over d_model, times a learnt weight [d_model]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.d_model))
        self.eps = shape.eps

    def forward(self, residual: Tensor) -> Tensor:
        return functional.rms_norm(residual, (residual.shape[-1],), self.weight, self.eps)


class Attention(nn.Module):
    """Causal attention with rotary positions; the heads' weights lie side by side."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.n_heads, self.d_head = shape.n_heads, shape.d_head
        width = shape.n_heads * shape.d_head
        self.query_key_value = nn.Linear(shape.d_model, 3 * width, bias=False)
        self.output = nn.Linear(width, shape.d_model, bias=False)

    def heads(self, residual: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries, rotated keys and values, each [batch, head, position, d_head].

        float32 under autocast too: the backward pass of bfloat16 attention is 15 times slower.
        """
        batch, length, _ = residual.shape
        joined = self.query_key_value(residual).view(batch, length, 3, self.n_heads, self.d_head)
        query, key, value = joined.float().permute(2, 0, 3, 1, 4)
        return rotate(query, cos, sin), rotate(key, cos, sin), value

    def forward(self, residual: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        query, key, value = self.heads(residual, cos, sin)
        with torch.autocast("cpu", enabled=False):
            mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return output  # [batch, position, d_model]

    def pattern(self, residual: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """The attention weights [batch, head, query, key]."""
        query, key, _ = self.heads(residual, cos, sin)
        scores: Tensor = query @ key.transpose(-1, -2) / self.d_head**0.5
        future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        return scores.masked_fill(future, float("-inf")).softmax(-1)


class GatedMLP(nn.Module):
    """SwiGLU: silu(x W_gate) * (x W_in), then W_out."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_in = nn.Linear(shape.d_model, 2 * shape.d_mlp, bias=False)
        self.output = nn.Linear(shape.d_mlp, shape.d_model, bias=False)

    def forward(self, residual: Tensor) -> Tensor:
        gate, value = self.gate_in(residual).chunk(2, -1)
        output: Tensor = self.output(functional.silu(gate) * value)
        return output


class Block(nn.Module):
    """One layer: attention, then MLP, each added to the residual stream."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention_norm, self.attention = RMSNorm(shape), Attention(shape)
        self.mlp_norm, self.mlp = RMSNorm(shape), GatedMLP(shape)

    def forward(self, residual: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        residual = residual + self.attention(self.attention_norm(residual), cos, sin)
        update: Tensor = self.mlp(self.mlp_norm(residual))
        return residual + update


class Network(nn.Module):
    """Token ids [batch, position] in, logits [batch, position, d_vocab] out."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.d_vocab, shape.d_model)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.n_layers))
        self.final_norm = RMSNorm(shape)
        cos, sin = rotary_tables(shape)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def initialize(self, generator: torch.Generator) -> None:
        """Draws every matrix anew; outputs are smaller, for each layer adds two of them."""
        residual_scale = (2 * self.shape.n_layers) ** -0.5
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                scale = residual_scale if name.endswith("output.weight") else 1.0
                std = 0.02 if name.startswith("embedding") else parameter.shape[1] ** -0.5 * scale
                nn.init.normal_(parameter, std=std, generator=generator)

    def forward(self, tokens: Tensor) -> Tensor:
        length = tokens.shape[1]
        residual = self.embedding(tokens)
        for block in self.blocks:
            residual = block(residual, self.cos[:length], self.sin[:length])
        return functional.linear(self.final_norm(residual), self.embedding.weight)

    def patterns(self, tokens: Tensor) -> Tensor:
        """The attention weights of every head, [layer, batch, head, query, key]."""
        cos, sin = self.cos[: tokens.shape[1]], self.sin[: tokens.shape[1]]
        residual, patterns = self.embedding(tokens), []
        for block in self.blocks:
            assert isinstance(block, Block)
            patterns.append(block.attention.pattern(block.attention_norm(residual), cos, sin))
            residual = block(residual, cos, sin)
        return torch.stack(patterns)


def rotary_tables(shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosines and sines of every position's angles, each [n_ctx, d_head]."""
    halves = torch.arange(shape.d_head // 2, dtype=torch.float32) / (shape.d_head / 2)
    wavelengths = shape.rotary_base**halves  # in positions a radian
    positions = torch.arange(shape.n_ctx, dtype=torch.float32)
    angles = (positions[:, None] / wavelengths).repeat(1, 2)
    return angles.cos(), angles.sin()


def rotate(vectors: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turns dimension i with i + d_head / 2 (half-half); vectors [..., position, d_head]."""
    first, second = vectors.chunk(2, -1)
    return vectors * cos + torch.cat((-second, first), -1) * sin
