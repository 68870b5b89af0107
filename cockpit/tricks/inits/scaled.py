"""Random weights whose size follows from the width of the layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cockpit.cards import card, knob
from cockpit.families import Activation, Init
from cockpit.tricks.activations.base import Leaky
from cockpit.tricks.activations.bounded import Tanh

if TYPE_CHECKING:
    from torch import Tensor

HE_SLIDE = "The slide prints the variance 1/in, which is LeCun's; He's is 2/in, because ReLU halves the signal."


def slope(said: float | None, activation: Activation) -> float:
    """The slope for negative inputs that He's formula asks for: as said, or that of a leaky activation, or 0."""
    if said is not None:
        return said
    return activation.slope if isinstance(activation, Leaky) else 0.0


def tanh_gain(gain: float | None, activation: Activation) -> float:
    """The gain as said, or the customary one: 5/3 for tanh, else 1."""
    if gain is not None:
        return gain
    return 5 / 3 if isinstance(activation, Tanh) else 1.0


@card(
    "he_normal",
    when="ReLU and its relatives.",
    beware="The variance is 2/in; with 1/in the signal of a deep ReLU network dies.",
    source="He et al. 2015, arXiv 1502.01852",
    slide=HE_SLIDE,
    aliases=("kaiming_normal",),
)
class HeNormal(Init):
    """N(0, 2/in), less for a leaky ReLU: keeps the signal's size through ReLU layers."""

    mode: Literal["fan_in", "fan_out"] = knob("fan_in", help="keep the size of the signal, or that of the gradient")
    a: float | None = knob(None, low=0, high=1, help="slope for negative inputs; none takes the activation's own")

    def fill(self, weight: Tensor, activation: Activation) -> None:
        """Std sqrt(2 / ((1 + slope^2) in))."""
        from torch import nn

        nn.init.kaiming_normal_(weight, a=slope(self.a, activation), mode=self.mode, nonlinearity="leaky_relu")


@card(
    "he_uniform",
    when="ReLU and its relatives.",
    beware="Same variance as he_normal; there is little to choose between them.",
    source="He et al. 2015, arXiv 1502.01852",
    slide=HE_SLIDE,
    aliases=("kaiming_uniform",),
)
class HeUniform(Init):
    """Uniform with the variance of he_normal: bound sqrt(6/in)."""

    mode: Literal["fan_in", "fan_out"] = knob("fan_in", help="keep the size of the signal, or that of the gradient")
    a: float | None = knob(None, low=0, high=1, help="slope for negative inputs; none takes the activation's own")

    def fill(self, weight: Tensor, activation: Activation) -> None:
        """Bound sqrt(6 / ((1 + slope^2) in))."""
        from torch import nn

        nn.init.kaiming_uniform_(weight, a=slope(self.a, activation), mode=self.mode, nonlinearity="leaky_relu")


@card(
    "glorot_normal",
    when="tanh, sigmoid and linear networks; also known as Xavier.",
    beware="Half of what ReLU needs where in and out are equal.",
    source="Glorot & Bengio 2010, AISTATS",
    aliases=("xavier_normal",),
)
class GlorotNormal(Init):
    """N(0, 2/(in + out)): a compromise between the sizes of signal and gradient."""

    gain: float | None = knob(None, above=0, high=10, help="factor on the std; none takes 5/3 for tanh and 1 for the others")

    def fill(self, weight: Tensor, activation: Activation) -> None:
        """Std gain * sqrt(2 / (in + out))."""
        from torch import nn

        nn.init.xavier_normal_(weight, tanh_gain(self.gain, activation))


@card(
    "glorot_uniform",
    when="tanh, sigmoid and linear networks; also known as Xavier.",
    beware="Half of what ReLU needs where in and out are equal.",
    source="Glorot & Bengio 2010, AISTATS",
    aliases=("xavier_uniform",),
)
class GlorotUniform(Init):
    """Uniform with the variance of glorot_normal: bound sqrt(6/(in + out))."""

    gain: float | None = knob(None, above=0, high=10, help="factor on the bound; none takes 5/3 for tanh and 1 for the others")

    def fill(self, weight: Tensor, activation: Activation) -> None:
        """Bound gain * sqrt(6 / (in + out))."""
        from torch import nn

        nn.init.xavier_uniform_(weight, tanh_gain(self.gain, activation))


@card(
    "lecun_normal",
    when="selu, and linear networks.",
    beware="Too small for ReLU: the signal halves in variance with each layer.",
    source="LeCun et al. 1998, Efficient BackProp",
)
class LecunNormal(Init):
    """N(0, 1/in)."""

    def fill(self, weight: Tensor, activation: Activation) -> None:
        """Std sqrt(1 / in)."""
        from torch import nn

        nn.init.kaiming_normal_(weight, nonlinearity="linear")
