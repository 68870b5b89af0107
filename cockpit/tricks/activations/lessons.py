"""Activations that show why the others are as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cockpit.cards import card, knob
from cockpit.families import Activation
from cockpit.tricks.activations.base import Curve

if TYPE_CHECKING:
    from torch import nn


@card(
    "identity",
    when="To see what depth is worth without a non-linearity.",
    beware="The network stays linear however deep it is.",
    source="Goodfellow et al. 2016, Deep Learning, section 6.1",
    slide='The slide says "linear functions are needed for backprop"; functions with a derivative almost everywhere are, '
    "and linear ones alone collapse into one layer.",
)
class Identity(Activation):
    """x itself: no non-linearity."""

    def build(self) -> nn.Module:
        """nn.Identity."""
        from torch import nn

        return nn.Identity()

    def value(self, x: float) -> float:
        """x."""
        return x


@card(
    "binary_step",
    when="To see that learning needs a slope: only what comes after the last step learns.",
    beware="Straight through, the gradient is that of another function: useful, and wrong.",
    source="McCulloch & Pitts 1943; straight-through: Bengio et al. 2013, arXiv 1308.3432",
)
class BinaryStep(Curve):
    """1 where x is not negative, else 0."""

    straight_through: bool = knob(False, help="pretend in the backward pass that the step was x between -1 and 1")

    def build(self) -> nn.Module:
        """The step as a module."""
        from cockpit.nets import activations

        return activations.BinaryStep(self.straight_through)

    def value(self, x: float) -> float:
        """0 or 1."""
        return 1.0 if x >= 0 else 0.0
