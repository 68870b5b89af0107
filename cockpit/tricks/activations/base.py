"""What most activations share: a module of torch.nn whose arguments are the knobs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from math import exp, log1p
from typing import TYPE_CHECKING, ClassVar

from cockpit.families import Activation

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Curve(Activation):
    """An activation that is not linear."""

    layer: ClassVar[str]
    """Its name in torch.nn."""

    @property
    def traits(self) -> tuple[str, ...]:
        """`nonlinear`, so that a norm layer with an activation of its own may say a word."""
        return ("nonlinear",)

    def build(self) -> nn.Module:
        """The module of torch.nn, with the knobs as its arguments."""
        from torch import nn

        built: nn.Module = getattr(nn, self.layer)(**dataclasses.asdict(self))
        return built


@dataclass(frozen=True)
class Leaky(Curve):
    """x where positive, slope * x where negative. He's initialisation asks for the slope."""

    @property
    def slope(self) -> float:
        """For negative inputs, before training and in evaluation mode."""
        raise NotImplementedError

    def value(self, x: float) -> float:
        """Two straight lines."""
        return x if x > 0 else self.slope * x


def logistic(x: float) -> float:
    """1 / (1 + exp(-x)), without overflow."""
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


def smooth_ramp(x: float) -> float:
    """log(1 + exp(x)), without overflow."""
    return max(0.0, x) + log1p(exp(-abs(x)))


def clamp(x: float, low: float, high: float) -> float:
    """x, or the bound that it passes."""
    return min(max(x, low), high)
