"""Masked pretraining of a vision transformer: hide patches, then rebuild their pixels or name their codes.

He et al. 2022, arXiv 2111.06377; Bao et al. 2022, arXiv 2106.08254. The transformer is used as it is: what it must see and
what is read from it passes through hooks that are there for one forward pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from cockpit.nets.vit import TOKEN_STD, Block, Shape, TokenNorm
from cockpit.travel import Outcome

if TYPE_CHECKING:
    from cockpit.travel import Forward

FLAT = 1e-2
"""Added to the variance of a patch, so that the noise of a nearly flat one is not blown up to be a target."""
DECODER_HEADS = 4


class Tokens(Protocol):
    """What is asked of a network: a vision transformer's parts."""

    patches: nn.Conv2d
    position: nn.Parameter
    blocks: nn.Module
    norm: nn.Module
    head: nn.Linear


class Mask(NamedTuple):
    """Which patches of each image are hidden."""

    kept: Tensor
    """int64 (B, N - H): places of the visible patches, in the order in which they are encoded."""
    hidden: Tensor
    """int64 (B, H)"""

    @property
    def back(self) -> Tensor:
        """int64 (B, N): where each patch stands in `kept` followed by `hidden`."""
        return torch.cat(self, dim=1).argsort(dim=1)


def draw_mask(images: int, patches: int, share: float, stream: Generator, device: torch.device) -> Mask:
    """Hide a share of the patches of each image, at least one, and leave at least one."""
    kept = min(patches - 1, max(1, round(patches * (1 - share))))
    order = torch.rand(images, patches, generator=stream).argsort(dim=1).to(device, non_blocking=True)
    return Mask(order[:, :kept], order[:, kept:])


def patches_of(x: Tensor, size: int) -> Tensor:
    """The pixels of each patch, row by row: (B, C, H, W) -> (B, N, C * size * size)."""
    return functional.unfold(x, size, stride=size).transpose(1, 2)


def pick(tokens: Tensor, places: Tensor) -> Tensor:
    """The tokens (B, N, D) at places (B, K) -> (B, K, D)."""
    return tokens.gather(1, places[:, :, None].expand(-1, -1, tokens.shape[2]))


def pixel_targets(x: Tensor, size: int, *, norm: bool) -> Tensor:
    """What a rebuilt patch is compared with: its pixels, each patch standardised by its own pixels where `norm`."""
    patches = patches_of(x.float(), size)
    if not norm:
        return patches
    variance, mean = torch.var_mean(patches, dim=2, correction=0, keepdim=True)
    return (patches - mean) / (variance + FLAT).sqrt()


def grid_positions(rows: int, columns: int, width: int) -> Tensor:
    """Fixed sines and cosines of row and column, (1, rows * columns, width); `width` is a multiple of 4."""
    rates = 1e-4 ** (torch.arange(width // 4) / (width // 4))
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = torch.cat([place.reshape(-1, 1) * rates for place in (row, column)], dim=1)
    return torch.cat([angles.sin(), angles.cos()], dim=1)[None]


@contextmanager
def drawn_from(stream: Generator) -> Iterator[None]:
    """New layers draw their weights from a stream, and torch's own generator stands afterwards where it stood."""
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(stream.initial_seed())
        yield


@contextmanager
def hooked(net: Tokens, *handles: torch.utils.hooks.RemovableHandle) -> Iterator[None]:
    """Take hooks off again after the forward pass that they are for. What is compiled knows no hooks: it runs as it is."""
    assert isinstance(net, nn.Module)
    compiled = net._compiled_call_impl is not None
    try:
        with torch.compiler.set_stance("force_eager") if compiled else nullcontext():
            yield
    finally:
        for handle in handles:
            handle.remove()


class PixelDecoder(nn.Module):
    """A small transformer that rebuilds an image from its visible tokens. `grid`: rows and columns of patches."""

    def __init__(self, net: Tokens, grid: tuple[int, int], *, width: int, depth: int, norm_pix: bool) -> None:
        super().__init__()
        self.size, self.norm_pix = net.patches.kernel_size[0], norm_pix
        shape = Shape(self.size, width, depth, DECODER_HEADS, 4.0, "avg")
        self.enter = nn.Linear(net.head.in_features, width)
        self.hidden = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1, width), std=TOKEN_STD))
        self.register_buffer("position", grid_positions(*grid, width))
        self.blocks = nn.Sequential(*(Block(shape, nn.GELU, _layer_norm) for _ in range(depth)))
        self.norm = TokenNorm(nn.LayerNorm(width))
        self.out = nn.Linear(width, net.patches.in_channels * self.size**2)

    def forward(self, visible: Tensor, mask: Mask) -> Tensor:
        """Encoded visible tokens (B, K, dim) -> the pixels of all patches (B, N, C * size * size)."""
        tokens = self.enter(visible)
        hidden = self.hidden.expand(len(tokens), mask.hidden.shape[1], -1)
        whole = pick(torch.cat([tokens, hidden], dim=1), mask.back)
        rebuilt: Tensor = self.out(self.norm(self.blocks(whole + self.get_buffer("position"))))
        return rebuilt

    def learn(self, net: Tokens, forward: Forward, x: Tensor, mask: Mask) -> Outcome:
        """The mean squared error on hidden patches. Hidden tokens are dropped after the positions are added to all."""
        rebuilt: list[Tensor] = []

        def drop(_: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
            own, patches = _split(inputs[0], mask)
            return torch.cat([own, pick(patches, mask.kept)], dim=1)

        def rebuild(_: nn.Module, __: tuple[Tensor, ...], encoded: Tensor) -> None:
            visible = encoded[:, encoded.shape[1] - mask.kept.shape[1] :]
            rebuilt.append(self(visible, mask))

        with hooked(net, net.blocks.register_forward_pre_hook(drop), net.norm.register_forward_hook(rebuild)):
            logits = forward(x)
        target = pixel_targets(x, self.size, norm=self.norm_pix)
        loss = functional.mse_loss(pick(rebuilt[0].float(), mask.hidden), pick(target, mask.hidden))
        return Outcome(loss, logits.detach())


class CodeHead(nn.Module):
    """A learned token in the place of hidden patches, and a linear layer that names their codes."""

    def __init__(self, net: Tokens, centres: Tensor, counts: Tensor) -> None:
        super().__init__()
        self.size = net.patches.kernel_size[0]
        width = net.head.in_features
        self.hidden = nn.Parameter(nn.init.trunc_normal_(torch.empty(width), std=TOKEN_STD))
        self.out = nn.Linear(width, len(centres))
        self.register_buffer("centres", centres)
        self.register_buffer("balance", counts.clamp(min=1).float().rsqrt())

    def learn(self, net: Tokens, forward: Forward, x: Tensor, mask: Mask) -> Outcome:
        """Cross-entropy of the codes of hidden patches, each weighed by one over the root of how frequent its code is."""
        named: list[Tensor] = []

        def hide(_: nn.Module, __: tuple[Tensor, ...], maps: Tensor) -> Tensor:
            covered = torch.zeros(len(x), maps[0, 0].numel(), dtype=torch.bool, device=x.device)
            covered = covered.scatter(1, mask.hidden, True).view(len(x), 1, *maps.shape[2:])
            return torch.where(covered, self.hidden.view(1, -1, 1, 1).to(maps.dtype), maps)

        def name(_: nn.Module, __: tuple[Tensor, ...], encoded: Tensor) -> None:
            named.append(self.out(pick(_split(encoded, mask)[1], mask.hidden)))

        with hooked(net, net.patches.register_forward_hook(hide), net.norm.register_forward_hook(name)):
            logits = forward(x)
        codes = nearest(pick(patches_of(x.float(), self.size), mask.hidden).flatten(0, 1), self.get_buffer("centres"))
        guesses = named[0].float().flatten(0, 1)
        loss = functional.cross_entropy(guesses, codes, weight=self.get_buffer("balance"))
        return Outcome(loss, logits.detach())


def _split(tokens: Tensor, mask: Mask) -> tuple[Tensor, Tensor]:
    """The network's own tokens, if any, and those of the patches."""
    own = tokens.shape[1] - mask.kept.shape[1] - mask.hidden.shape[1]
    return tokens[:, :own], tokens[:, own:]


def _layer_norm(channels: int, *, spatial: bool) -> nn.Module:  # noqa: ARG001  (tokens have no map)
    return nn.LayerNorm(channels)


def nearest(points: Tensor, centres: Tensor) -> Tensor:
    """The nearest centre of each point: (N, D), (K, D) -> int64 (N,)."""
    return (centres.square().sum(1) - 2 * points @ centres.T).argmin(dim=1)


def seeds(points: Tensor, count: int, stream: Generator) -> Tensor:
    """Points far from each other to start k-means from, (count, D): Arthur & Vassilvitskii 2007, SODA.

    ValueError where there are fewer different points than that.
    """
    chosen = torch.randint(len(points), (1,), generator=stream)
    distance = (points - points[chosen]).square().sum(1)
    for _ in range(count - 1):
        if not distance.any():
            raise ValueError(f"there are {len(chosen)} different patches for {count} codes; take codes {len(chosen)} at most")
        drawn = torch.multinomial(distance, 1, generator=stream)
        chosen = torch.cat([chosen, drawn])
        distance = torch.minimum(distance, (points - points[drawn]).square().sum(1))
    return points[chosen]


def k_means(points: Tensor, centres: Tensor, rounds: int = 30) -> Tensor:
    """Move centres (K, D) to the means of the points (N, D) that are nearest to them, until nothing moves or for so many
    rounds. A centre that no point is nearest to stays."""
    owners = nearest(points, centres)
    for _ in range(rounds):
        counts = torch.bincount(owners, minlength=len(centres))
        sums = torch.zeros_like(centres).index_add_(0, owners, points)
        centres = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], centres)
        before, owners = owners, nearest(points, centres)
        if torch.equal(before, owners):
            break
    return centres
