"""A transformer that predicts the next code from those before it, after Chen et al. 2020 (iGPT).

Reference: Vaswani et al. 2017, arXiv 1706.03762.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from cockpit.nets.vit import TOKEN_STD, Attention, Block, Shape


class CausalAttention(Attention):
    """Self-attention in which a place sees itself and what came before."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, dim) -> (B, N, dim)."""
        batch, tokens, dim = x.shape
        split = self.qkv(x).view(batch, tokens, 3, self.heads, dim // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        merged: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, tokens, dim))
        return merged


class NextCode(nn.Module):
    """Codes of up to `length` places to the logits of each place's own code, from the codes before it alone."""

    def __init__(self, codes: int, length: int, *, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        shape = Shape(patch=1, dim=dim, depth=depth, heads=heads, mlp_ratio=4.0, pool="avg")
        self.begin, self.length = codes, length
        self.embedding = nn.Embedding(codes + 1, dim)
        self.position = nn.Parameter(torch.empty(length, dim))
        self.blocks = nn.Sequential(*(self._block(shape) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, codes)
        for embedding in (self.embedding.weight, self.position):
            nn.init.trunc_normal_(embedding, std=TOKEN_STD)

    @staticmethod
    def _block(shape: Shape) -> Block:
        block = Block(shape, nn.GELU, lambda dim, *, spatial: nn.LayerNorm(dim))
        block.attention = CausalAttention(shape.dim, shape.heads)
        return block

    def forward(self, codes: Tensor) -> Tensor:
        """int64 (B, N) -> (B, N + 1, codes), or (B, N, codes) where N is the whole length: place n from codes[:, :n].

        The input is shifted by one: it starts with the begin token, and the last code of a whole image is not needed.
        """
        begin = codes.new_full((len(codes), 1), self.begin)
        shifted = torch.cat([begin, codes], dim=1)[:, : self.length]
        tokens = self.embedding(shifted) + self.position[: shifted.shape[1]]
        logits: Tensor = self.head(self.norm(self.blocks(tokens)))
        return logits


@torch.no_grad()
def sample(net: NextCode, count: int, temperature: float, stream: torch.Generator) -> Tensor:
    """int64 (count, length): each code drawn from what the network expects after those drawn before it.

    `temperature` divides the logits: below 1 the likely codes become likelier. In evaluation mode.
    """
    net.eval()
    codes = torch.empty(count, 0, dtype=torch.int64)
    for _ in range(net.length):
        expected = (net(codes)[:, -1] / temperature).softmax(dim=1)
        codes = torch.cat([codes, torch.multinomial(expected, 1, generator=stream)], dim=1)
    return codes
