"""Multi-head attention and the encoder block, written out; and both once more as the lecture's slides print them.

Vaswani et al. 2017, arXiv 1706.03762.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from cockpit.nets.layers import MakeActivation, MakeNorm
from cockpit.nets.vit import Shape, TokenNorm


class MultiHead(nn.Module):
    """Self-attention in several heads."""

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, N, dim) -> (B, N, dim). `mask`: bool, broadcast to (B, heads, N, N), true where a token may look."""
        batch, tokens, dim = x.shape
        split = self.qkv(x).reshape(batch, tokens, 3, self.heads, dim // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each (B, heads, N, dim / heads)
        scores = query @ key.transpose(-2, -1) / math.sqrt(dim // self.heads)
        if mask is not None:
            scores = scores.masked_fill(~mask, self.blocked(scores.dtype))
        weights = functional.dropout(scores.softmax(dim=-1), self.dropout, self.training)
        merged: Tensor = self.out(self.merge(weights @ value))
        return merged

    def blocked(self, dtype: torch.dtype) -> float:
        """The score of a token that may not be looked at."""
        return torch.finfo(dtype).min

    def merge(self, mixed: Tensor) -> Tensor:
        """(B, heads, N, dim / heads) -> (B, N, dim): the heads of one token side by side."""
        return mixed.permute(0, 2, 1, 3).flatten(2)


class LectureMultiHead(MultiHead):
    """As printed: wrong in two places."""

    def blocked(self, dtype: torch.dtype) -> float:
        """Not a number of half precision, which ends at -65504."""
        return -1e14

    def merge(self, mixed: Tensor) -> Tensor:
        """Heads and tokens are not swapped back, so that a row of the result mixes the tokens of one head."""
        batch, heads, tokens, size = mixed.shape
        return mixed.reshape(batch, tokens, heads * size)


class EncoderBlock(nn.Module):
    """Attention and two linear layers, each added to its input, with a norm after the sum or before the branch."""

    def __init__(
        self, shape: Shape, dropout: float, activation: MakeActivation, norm: MakeNorm, *, norm_first: bool = False
    ) -> None:
        super().__init__()
        hidden = round(shape.dim * shape.mlp_ratio)
        self.norm_first = norm_first
        self.dropout = dropout
        self.attention = MultiHead(shape.dim, shape.heads, dropout)
        self.norm1 = TokenNorm(norm(shape.dim, spatial=False))
        self.fc1 = nn.Linear(shape.dim, hidden)
        self.act = activation()
        self.fc2 = nn.Linear(hidden, shape.dim)
        self.norm2 = TokenNorm(norm(shape.dim, spatial=False))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, N, dim) -> (B, N, dim). `mask` as in MultiHead."""
        if self.norm_first:
            x = x + self.drop(self.attention(self.norm1(x), mask))
            return x + self.feed(self.norm2(x))
        x = self.norm1(x + self.drop(self.attention(x, mask)))
        out: Tensor = self.norm2(x + self.feed(x))
        return out

    def feed(self, x: Tensor) -> Tensor:
        """(B, N, dim) -> (B, N, dim), each token for itself."""
        return self.drop(self.fc2(self.drop(self.act(self.fc1(x)))))

    def drop(self, x: Tensor) -> Tensor:
        """Dropout in training."""
        return functional.dropout(x, self.dropout, self.training)


class LectureBlock(EncoderBlock):
    """As printed: no mask, no hidden width of its own, one norm for both branches, no dropout on the attention weights."""

    def __init__(
        self, shape: Shape, dropout: float, activation: MakeActivation, norm: MakeNorm, *, norm_first: bool = False
    ) -> None:
        super().__init__(shape, dropout, activation, norm, norm_first=norm_first)
        self.attention = LectureMultiHead(shape.dim, shape.heads)
        self.fc1, self.fc2 = nn.Linear(shape.dim, shape.dim), nn.Linear(shape.dim, shape.dim)
        self.norm2 = self.norm1

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, N, dim) -> (B, N, dim). `mask` is taken and not looked at."""
        return super().forward(x)
