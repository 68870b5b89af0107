"""Activations that multiply x by a gate between 0 and 1."""

from __future__ import annotations

from math import erf, pi, sqrt, tanh
from typing import ClassVar, Literal

from cockpit.cards import card, knob
from cockpit.tricks.activations.base import Curve, clamp, logistic, smooth_ramp


@card(
    "gelu",
    when="Transformers; worth a try in convolutional networks.",
    beware="Slower than relu on a CPU.",
    source="Hendrycks & Gimpel 2016, arXiv 1606.08415",
)
class Gelu(Curve):
    """x times the standard normal distribution function of x."""

    layer: ClassVar[str] = "GELU"

    approximate: Literal["none", "tanh"] = knob("none", help="exact, or the faster form with tanh")

    def value(self, x: float) -> float:
        """x times the share of a standard normal below x."""
        if self.approximate == "tanh":
            return x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))
        return x / 2 * (1 + erf(x / sqrt(2)))


@card(
    "silu",
    when="Instead of relu in a network with norm layers.",
    beware="Slower than relu on a CPU.",
    source="Ramachandran et al. 2017, arXiv 1710.05941",
    aliases=("swish",),
)
class Silu(Curve):
    """x * sigmoid(x)."""

    layer: ClassVar[str] = "SiLU"

    def value(self, x: float) -> float:
        """x times the logistic function."""
        return x * logistic(x)


@card(
    "mish",
    when="Instead of relu in a network with norm layers.",
    beware="Slower than relu and silu on a CPU.",
    source="Misra 2019, arXiv 1908.08681",
)
class Mish(Curve):
    """x * tanh(softplus(x))."""

    layer: ClassVar[str] = "Mish"

    def value(self, x: float) -> float:
        """x times tanh of the smooth ReLU."""
        return x * tanh(smooth_ramp(x))


@card(
    "hardswish",
    when="As silu, from straight pieces and a parabola: cheaper on small machines.",
    beware="Exactly 0 below -3, so units can die.",
    source="Howard et al. 2019, arXiv 1905.02244",
)
class Hardswish(Curve):
    """x * hardsigmoid(x)."""

    layer: ClassVar[str] = "Hardswish"

    def value(self, x: float) -> float:
        """x times a ramp from -3 to 3."""
        return x * clamp(x + 3, 0.0, 6.0) / 6
