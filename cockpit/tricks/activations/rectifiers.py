"""ReLU and those that differ from it by a slope or a bound."""

from __future__ import annotations

from typing import ClassVar

from cockpit.cards import card, knob
from cockpit.tricks.activations.base import Curve, Leaky, clamp


@card(
    "relu",
    when="First choice for convolutional networks and MLPs, with a He initialisation.",
    beware="A unit that is negative for every image gets no gradient and stays dead: look at the dead share per layer.",
    source="Nair & Hinton 2010, ICML; Glorot et al. 2011, AISTATS",
)
class Relu(Curve):
    """max(0, x)."""

    layer: ClassVar[str] = "ReLU"

    def value(self, x: float) -> float:
        """The larger of 0 and x."""
        return max(0.0, x)


@card(
    "leaky_relu",
    when="Units die under relu.",
    beware="A slope near 1 makes the network nearly linear.",
    source="Maas et al. 2013, ICML workshop",
)
class LeakyRelu(Leaky):
    """x where positive, a small slope times x where negative."""

    layer: ClassVar[str] = "LeakyReLU"

    negative_slope: float = knob(0.01, low=0, high=1, help="slope for negative inputs")

    @property
    def slope(self) -> float:
        """The knob."""
        return self.negative_slope


@card(
    "prelu",
    when="Units die under relu and a parameter more per layer does not matter.",
    beware="Weight decay pulls the slopes to 0: switch no_decay_1d on. The form with a slope for each channel is not offered.",
    source="He et al. 2015, arXiv 1502.01852",
)
class Prelu(Leaky):
    """Leaky ReLU whose slope is learned, one per layer."""

    layer: ClassVar[str] = "PReLU"

    init: float = knob(0.25, low=0, high=1, help="the slope before training")

    @property
    def slope(self) -> float:
        """Where it starts."""
        return self.init


@card(
    "rrelu",
    when="A leaky ReLU that also regularises: the slope is drawn anew for every number in training.",
    beware="Evaluation takes the mean of the two slopes, so that training loss is not comparable.",
    source="Xu et al. 2015, arXiv 1505.00853",
)
class Rrelu(Leaky):
    """Leaky ReLU whose slope is drawn between two bounds in training."""

    layer: ClassVar[str] = "RReLU"

    lower: float = knob(0.125, low=0, high=1, help="the least slope")
    upper: float = knob(0.333, low=0, high=1, help="the greatest slope")

    def __post_init__(self) -> None:
        if self.lower > self.upper:
            raise ValueError(f"rrelu: lower {self.lower:g} is above upper {self.upper:g}; exchange them")

    @property
    def slope(self) -> float:
        """The mean of the two, which evaluation takes."""
        return (self.lower + self.upper) / 2


@card(
    "relu6",
    when="Networks that are to run in few bits later, as MobileNets do.",
    beware="No gradient above 6 either.",
    source="Howard et al. 2017, arXiv 1704.04861",
)
class Relu6(Curve):
    """ReLU that stops at 6."""

    layer: ClassVar[str] = "ReLU6"

    def value(self, x: float) -> float:
        """x between 0 and 6."""
        return clamp(x, 0.0, 6.0)
