"""A first convolution that whitens patches: Page 2019, How to train your ResNet; Jordan 2024, arXiv 2404.00498."""

import copy
from collections.abc import Iterable

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from cockpit.nets.layers import sequence


def whitening_filters(images: Iterable[Tensor], side: int, eps: float) -> Tensor:
    """Filters whose outputs have variance 1 and no correlation, and their negatives: (2 C k k, C, k, k).

    `images`: batches of standardised (B, C, H, W). Sorted from the direction of largest variance to that of least; `eps` is
    added to the variances, so that a direction without any is not blown up to noise.
    """
    total, count, channels = torch.zeros((), dtype=torch.float64), 0, 0
    for batch in images:
        channels = batch.shape[1]
        patches = functional.unfold(batch.cpu().double(), side).transpose(1, 2).flatten(0, 1)
        total, count = total + patches.T @ patches, count + len(patches)
    variances, directions = torch.linalg.eigh(total / count)
    filters = (directions / (variances + eps).sqrt()).T.flip(0)
    return torch.cat((filters, -filters)).view(-1, channels, side, side).float()


def is_place_for(stem: nn.Conv2d, filters: Tensor) -> bool:
    """Whether a first convolution is built for just such filters, a bias and no norm behind them, as that of airbench."""
    plain = stem.stride == (1, 1) and stem.dilation == (1, 1)
    return plain and stem.bias is not None and stem.weight.shape == filters.shape


@torch.no_grad()
def fixed(conv: nn.Conv2d, filters: Tensor) -> nn.Conv2d:
    """The convolution with these filters, which do not learn, and a bias that starts at 0."""
    conv.weight.copy_(filters)
    conv.weight.requires_grad_(False)
    assert conv.bias is not None
    conv.bias.zero_()
    return conv


def behind_whitening(stem: nn.Conv2d, filters: Tensor, act: nn.Module, stream: Generator) -> nn.Sequential:
    """Padding that keeps the size, the fixed filters with their bias, the activation, and the stem for so many channels.

    The stem starts from He's normal weights, drawn from `stream`.
    """
    outputs, channels, side, _ = filters.shape
    whiten = fixed(nn.Conv2d(channels, outputs, side), filters)
    conv = nn.Conv2d(
        outputs,
        stem.out_channels,
        stem.kernel_size,  # type: ignore[arg-type]  # always a pair once it is built
        stem.stride,  # type: ignore[arg-type]
        stem.padding,  # type: ignore[arg-type]
        stem.dilation,  # type: ignore[arg-type]
        bias=stem.bias is not None,
        padding_mode=stem.padding_mode,
    )
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu", generator=stream)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    before = (side - 1) // 2
    pad = nn.ZeroPad2d((before, side - 1 - before) * 2)
    return sequence({"pad": pad, "whiten": whiten, "act": act, "conv": conv}).to(stem.weight)


def first_activation(model: nn.Module) -> nn.Module:
    """A copy of the first activation of a network; nothing but the input handed on where it has none."""
    for module in model.modules():
        if type(module).__module__.rpartition(".")[2] in ("activation", "activations") and not list(module.children()):
            return copy.deepcopy(module)
    return nn.Identity()
