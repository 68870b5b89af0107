"""Activations with a limit on both sides. All saturate: far from 0 their gradient vanishes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from cockpit.cards import card
from cockpit.tricks.activations.base import Curve, clamp, logistic

if TYPE_CHECKING:
    from torch import nn


@card(
    "sigmoid",
    when="To see gradients vanish; with a Glorot initialisation.",
    beware="Its slope is at most 1/4 and its outputs are never negative: deep networks hardly train.",
    source="Rumelhart et al. 1986, Nature 323",
)
class Sigmoid(Curve):
    """1 / (1 + exp(-x)), from 0 to 1."""

    layer: ClassVar[str] = "Sigmoid"

    def value(self, x: float) -> float:
        """The logistic function."""
        return logistic(x)


@card(
    "tanh",
    when="Historical networks, or outputs that must stay bounded; with a Glorot initialisation.",
    beware="Saturates: gradients vanish in deep networks without norm layers.",
    source="LeCun et al. 1998, Efficient BackProp",
)
class Tanh(Curve):
    """tanh(x), from -1 to 1."""

    layer: ClassVar[str] = "Tanh"

    def value(self, x: float) -> float:
        """The hyperbolic tangent."""
        return math.tanh(x)


@card(
    "arctan",
    when="To compare with tanh: it saturates more slowly.",
    beware="Still saturates, at -pi/2 and pi/2.",
    source="PyTorch, torch.atan",
)
class Arctan(Curve):
    """The inverse tangent of x, from -pi/2 to pi/2."""

    def build(self) -> nn.Module:
        """torch.atan as a module."""
        from cockpit.nets import activations

        return activations.Arctan()

    def value(self, x: float) -> float:
        """The inverse tangent."""
        return math.atan(x)


@card(
    "softsign",
    when="To compare with tanh: its tails are polynomial, so gradients vanish more slowly.",
    beware="Still saturates.",
    source="Glorot & Bengio 2010, AISTATS",
)
class Softsign(Curve):
    """x / (1 + |x|), from -1 to 1."""

    layer: ClassVar[str] = "Softsign"

    def value(self, x: float) -> float:
        """x over 1 + |x|."""
        return x / (1 + abs(x))


@card(
    "hardtanh",
    when="tanh from straight pieces, for small machines and networks of few bits.",
    beware="No gradient at all outside -1 and 1.",
    source="Collobert et al. 2011, JMLR 12",
)
class Hardtanh(Curve):
    """x between -1 and 1, else the nearer of the two."""

    layer: ClassVar[str] = "Hardtanh"

    def value(self, x: float) -> float:
        """x between the bounds."""
        return clamp(x, -1.0, 1.0)


@card(
    "hardsigmoid",
    when="sigmoid from straight pieces, for small machines.",
    beware="Slope 1/6, and no gradient at all outside -3 and 3.",
    source="Howard et al. 2019, arXiv 1905.02244",
)
class Hardsigmoid(Curve):
    """A ramp from 0 at -3 to 1 at 3."""

    layer: ClassVar[str] = "Hardsigmoid"

    def value(self, x: float) -> float:
        """The ramp between its ends."""
        return clamp(x + 3, 0.0, 6.0) / 6
