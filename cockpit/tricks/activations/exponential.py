"""Activations that bend to a limit for negative inputs, and the smooth ReLU."""

from __future__ import annotations

from math import expm1
from typing import ClassVar

from cockpit.cards import card, knob
from cockpit.tricks.activations.base import Curve, smooth_ramp

NOT_LECUN = (
    "constant",
    "dirac",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "normal_001",
    "orthogonal",
    "torch_default",
    "trunc_normal_002",
    "uniform",
    "zeros",
)
"""Every init under which selu does not normalise itself."""


@card(
    "elu",
    when="A smooth ReLU with outputs of mean near 0 is wanted, as in a network without norm layers.",
    beware="Has a kink at 0 unless alpha is 1.",
    source="Clevert et al. 2015, arXiv 1511.07289",
)
class Elu(Curve):
    """x where positive, alpha * (exp(x) - 1) where negative."""

    layer: ClassVar[str] = "ELU"

    alpha: float = knob(1.0, low=0.1, high=2, help="minus the limit for very negative inputs")

    def value(self, x: float) -> float:
        """A line and an exponential."""
        return x if x > 0 else self.alpha * expm1(x)


@card(
    "celu",
    when="As elu, without the kink; alpha 0.3 is what a fast nine-layer network for CIFAR-10 used.",
    beware="A small alpha is nearly relu.",
    source="Barron 2017, arXiv 1704.07483",
)
class Celu(Curve):
    """x where positive, alpha * (exp(x / alpha) - 1) where negative: smooth for every alpha."""

    layer: ClassVar[str] = "CELU"

    alpha: float = knob(0.3, low=0.05, high=2, help="minus the limit for very negative inputs")

    def value(self, x: float) -> float:
        """A line and an exponential that meet with slope 1."""
        return x if x > 0 else self.alpha * expm1(x / self.alpha)


@card(
    "selu",
    when="A deep MLP without norm layers.",
    beware="Normalises itself only with init lecun_normal, norm none, standardised inputs, and alpha_dropout if any.",
    source="Klambauer et al. 2017, arXiv 1706.02515",
    cautions={
        **dict.fromkeys(NOT_LECUN, "selu keeps mean and variance only from lecun_normal weights"),
        "batch": "batch norm does what selu was made to do without; norm none lets it",
        "dropout": "plain dropout moves the mean and variance that selu keeps; alpha_dropout does not",
    },
)
class Selu(Curve):
    """ELU scaled so that mean 0 and variance 1 are kept from layer to layer."""

    layer: ClassVar[str] = "SELU"
    alpha: ClassVar[float] = 1.6732632423543772
    scale: ClassVar[float] = 1.0507009873554805

    def value(self, x: float) -> float:
        """A line and an exponential, scaled."""
        return self.scale * (x if x > 0 else self.alpha * expm1(x))


@card(
    "softplus",
    when="A smooth ReLU is needed.",
    beware="Never 0, so the mean drifts upwards from layer to layer: it wants a norm layer.",
    source="Dugas et al. 2001, NIPS",
)
class Softplus(Curve):
    """log(1 + exp(x)), the smooth form of ReLU."""

    layer: ClassVar[str] = "Softplus"

    beta: float = knob(1.0, low=0.1, high=10, help="sharpness; ReLU in the limit")

    def value(self, x: float) -> float:
        """log(1 + exp(beta x)) / beta."""
        return smooth_ramp(self.beta * x) / self.beta
