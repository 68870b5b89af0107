"""Vision transformer: patches as tokens, pre-norm encoder blocks, a class read from one token or from the mean.

Dosovitskiy et al. 2021, arXiv 2010.11929.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from cockpit.nets.layers import MakeActivation, MakeNorm, nearest_divisor
from cockpit.travel import Task

TOKEN_STD = 0.02
"""Spread of the class token and of the position embedding at the start, whatever the initialisation of the weights."""


@dataclass(frozen=True)
class Shape:
    """The size of a vision transformer. ValueError where the numbers do not fit each other or the image."""

    patch: int
    dim: int
    depth: int
    heads: int
    mlp_ratio: float
    pool: Literal["token", "avg"]

    def tokens(self, task: Task) -> int:
        """How many patches the image has."""
        common = math.gcd(task.height, task.width)
        if common % self.patch:
            raise ValueError(
                f"patch {self.patch} does not divide {task.height}x{task.width} images; "
                f"the nearest that does is {nearest_divisor(common, self.patch)}"
            )
        if self.dim % self.heads:
            raise ValueError(
                f"{self.heads} heads do not divide dim {self.dim}; "
                f"the nearest number that does is {nearest_divisor(self.dim, self.heads)}"
            )
        return (task.height // self.patch) * (task.width // self.patch)


class Attention(nn.Module):
    """Multi-head self-attention, Vaswani et al. 2017, arXiv 1706.03762."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, dim) -> (B, N, dim)."""
        batch, tokens, dim = x.shape
        split = self.qkv(x).view(batch, tokens, 3, self.heads, dim // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        merged: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, tokens, dim))
        return merged


class TokenNorm(nn.Module):
    """A norm for (B, C) applied to each token."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, dim) -> (B, N, dim)."""
        flat: Tensor = self.norm(x.flatten(0, 1))
        return flat.view(x.shape)


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, shape: Shape, activation: MakeActivation, norm: MakeNorm) -> None:
        super().__init__()
        hidden = round(shape.dim * shape.mlp_ratio)
        self.norm1 = TokenNorm(norm(shape.dim, spatial=False))
        self.attention = Attention(shape.dim, shape.heads)
        self.norm2 = TokenNorm(norm(shape.dim, spatial=False))
        self.fc1 = nn.Linear(shape.dim, hidden)
        self.act = activation()
        self.fc2 = nn.Linear(hidden, shape.dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, dim) -> (B, N, dim)."""
        x = x + self.attention(self.norm1(x))
        out: Tensor = x + self.fc2(self.act(self.fc1(self.norm2(x))))
        return out


class VisionTransformer(nn.Module):
    """Images of one size to logits.

    `block` makes the encoder blocks, (B, N, dim) -> (B, N, dim), where they are not to be `Block`; `extra` is the number of
    learned tokens before those of the patches, where it is not to be one for pool token and none for pool avg.
    """

    def __init__(
        self,
        task: Task,
        shape: Shape,
        activation: MakeActivation,
        norm: MakeNorm,
        *,
        block: Callable[[], nn.Module] | None = None,
        extra: int | None = None,
    ) -> None:
        super().__init__()
        patches, extra = shape.tokens(task), int(shape.pool == "token") if extra is None else extra
        make = block or (lambda: Block(shape, activation, norm))
        self.patches = nn.Conv2d(task.channels, shape.dim, shape.patch, stride=shape.patch)
        self.token = nn.Parameter(torch.empty(1, extra, shape.dim)) if extra else None
        self.position = nn.Parameter(torch.empty(1, patches + extra, shape.dim))
        self.blocks = nn.Sequential(*(make() for _ in range(shape.depth)))
        self.norm = TokenNorm(norm(shape.dim, spatial=False))
        self.head = nn.Linear(shape.dim, task.classes)
        for embedding in (self.token, self.position):
            if embedding is not None:
                nn.init.trunc_normal_(embedding, std=TOKEN_STD)

    def encode(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, N, dim): the tokens as they leave the last norm."""
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        if self.token is not None:
            tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], dim=1)
        encoded: Tensor = self.norm(self.blocks(tokens + self.position))
        return encoded

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, classes)."""
        encoded = self.encode(x)
        logits: Tensor = self.head(encoded.mean(dim=1) if self.token is None else encoded[:, 0])
        return logits
