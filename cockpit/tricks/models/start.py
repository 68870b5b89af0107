"""What the networks share: how their weights start, and how they are made wider."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cockpit.families import Model

if TYPE_CHECKING:
    from torch import nn

WIDTH = "factor on all channels, which become multiples of 8; the best learning rate may change with it"


def started(net: nn.Module, model: Model) -> nn.Module:
    """The network with its weights as the model's init wants them."""
    from cockpit.nets import initialise

    initialise(net, model.init, model.activation)
    return net


def widened(widths: tuple[int, ...], factor: float) -> tuple[int, ...]:
    """Channels times a factor, as multiples of 8 where the factor is not 1."""
    from cockpit.nets.resnet import scaled

    return tuple(scaled(channels, factor) for channels in widths)


def exactly(name: str, widths: tuple[int, ...], example: tuple[int, ...]) -> None:
    """ValueError where a network is given another number of widths than it has places for."""
    if len(widths) != len(example):
        raise ValueError(f"{name}: widths takes {len(example)} numbers, as in {list(example)}; it has {len(widths)}")
