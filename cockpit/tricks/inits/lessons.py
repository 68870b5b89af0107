"""Weights that are all equal, which show why weights must differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cockpit.cards import card, knob
from cockpit.families import Activation, Init

if TYPE_CHECKING:
    from torch import Tensor


@card(
    "zeros",
    when="To see why weights must differ.",
    beware="Only the last bias moves: the network learns how frequent each class is, and nothing else.",
    source="Goodfellow et al. 2016, Deep Learning, section 8.4",
    cautions={"batch": "a demonstration: batch norm cannot make anything of a signal that is 0 everywhere"},
)
class Zeros(Init):
    """Every weight 0."""

    def fill(self, weight: Tensor, activation: Activation) -> None:
        """Zeros."""
        from torch import nn

        nn.init.zeros_(weight)


@card(
    "constant",
    when="To see why weights must differ.",
    beware="All units of a layer stay equal for ever, though the loss may fall.",
    source="Goodfellow et al. 2016, Deep Learning, section 8.4",
    cautions={"batch": "a demonstration: batch norm standardises each unit, and equal units stay equal"},
)
class Constant(Init):
    """Every weight the same number."""

    value: float = knob(0.1, low=-1, high=1, help="the weight")

    def fill(self, weight: Tensor, activation: Activation) -> None:
        """The same number everywhere."""
        from torch import nn

        nn.init.constant_(weight, self.value)
