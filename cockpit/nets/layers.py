"""What the networks share: a layer with its norm and activation, and the start of the weights."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Protocol

from torch import nn

from cockpit.families import Activation, Init

MakeActivation = Callable[[], nn.Module]
"""A fresh activation at each call, so that every place in a network has its own."""


class MakeNorm(Protocol):
    """A fresh norm layer at each call."""

    def __call__(self, channels: int, *, spatial: bool) -> nn.Module:
        """For (B, C, H, W) if spatial, else for (B, C)."""


def conv(
    inputs: int, outputs: int, norm: MakeNorm, kernel: int = 3, stride: int = 1, padding: int | None = None
) -> tuple[nn.Conv2d, nn.Module]:
    """A convolution and its norm, whose shift stands in for the bias. The padding keeps the size at stride 1."""
    after = norm(outputs, spatial=True)
    around = kernel // 2 if padding is None else padding
    return nn.Conv2d(inputs, outputs, kernel, stride, around, bias=not shifts(after)), after


def linear(inputs: int, outputs: int, norm: MakeNorm) -> tuple[nn.Linear, nn.Module]:
    """A linear layer and its norm, whose shift stands in for the bias."""
    after = norm(outputs, spatial=False)
    return nn.Linear(inputs, outputs, bias=not shifts(after)), after


def shifts(norm: nn.Module) -> bool:
    """Whether a norm adds a bias of its own: no norm, rms and lrn do not."""
    return getattr(norm, "bias", None) is not None


def unit(name: str, layer: nn.Module, after: nn.Module, act: nn.Module | None = None) -> dict[str, nn.Module]:
    """Layer, norm and activation under their names; a norm that does nothing is left out."""
    parts = {name: layer} if isinstance(after, nn.Identity) else {name: layer, f"{name}_norm": after}
    return parts if act is None else {**parts, f"{name}_act": act}


def sequence(layers: Mapping[str, nn.Module]) -> nn.Sequential:
    """Layers one after the other, in the order of the mapping, by their names."""
    return nn.Sequential(OrderedDict(layers))


def initialise(net: nn.Module, init: Init, activation: Activation) -> None:
    """Fill the weights of all linear and convolution layers in place and set their biases to 0, unless they stay as built."""
    if init.as_built:
        return
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            init.fill(layer.weight, activation)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def nearest_divisor(number: int, wanted: int) -> int:
    """The divisor of `number` that is nearest to `wanted`; the smaller of two."""
    return min((divisor for divisor in range(1, number + 1) if number % divisor == 0), key=lambda found: abs(found - wanted))
