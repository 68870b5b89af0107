"""Activations: the non-linearity between two layers. None works in place, so that a probe sees every output as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cockpit.cards import card, knob
from cockpit.families import Activation

if TYPE_CHECKING:
    from torch import nn


@card(
    "relu",
    when="First choice for convolutional networks and MLPs, with a He initialisation.",
    beware="A unit that is negative for every image gets no gradient and stays dead: look at the dead share per layer.",
    source="Nair & Hinton 2010, ICML; Glorot et al. 2011, AISTATS",
)
class Relu(Activation):
    """max(0, x)."""

    def build(self) -> nn.Module:
        """nn.ReLU."""
        from torch import nn

        return nn.ReLU()


@card(
    "leaky_relu",
    when="Units die under relu.",
    beware="A slope near 1 makes the network nearly linear.",
    source="Maas et al. 2013, ICML workshop",
)
class LeakyRelu(Activation):
    """x where positive, a small slope times x where negative."""

    negative_slope: float = knob(0.01, low=0, high=1, help="slope for negative inputs")

    def build(self) -> nn.Module:
        """nn.LeakyReLU."""
        from torch import nn

        return nn.LeakyReLU(self.negative_slope)


@card(
    "prelu",
    when="Units die under relu and a parameter more per layer does not matter.",
    beware="Weight decay pulls the slopes to 0: switch no_decay_1d on.",
    source="He et al. 2015, arXiv 1502.01852",
)
class Prelu(Activation):
    """Leaky ReLU whose slope is learned, one per layer."""

    init: float = knob(0.25, low=0, high=1, help="the slope before training")

    def build(self) -> nn.Module:
        """nn.PReLU with one parameter."""
        from torch import nn

        return nn.PReLU(init=self.init)


@card(
    "elu",
    when="A smooth ReLU with outputs of mean near 0 is wanted, as in a network without norm layers.",
    beware="Has a kink at 0 unless alpha is 1.",
    source="Clevert et al. 2015, arXiv 1511.07289",
)
class Elu(Activation):
    """x where positive, alpha * (exp(x) - 1) where negative."""

    alpha: float = knob(1.0, low=0.1, high=2, help="minus the limit for very negative inputs")

    def build(self) -> nn.Module:
        """nn.ELU."""
        from torch import nn

        return nn.ELU(self.alpha)


@card(
    "selu",
    when="A deep MLP without norm layers.",
    beware="Normalises itself only with init lecun_normal, norm none and standardised inputs; plain dropout breaks it.",
    source="Klambauer et al. 2017, arXiv 1706.02515",
)
class Selu(Activation):
    """ELU scaled so that mean 0 and variance 1 are kept from layer to layer."""

    def build(self) -> nn.Module:
        """nn.SELU."""
        from torch import nn

        return nn.SELU()


@card(
    "gelu",
    when="Transformers; worth a try in convolutional networks.",
    beware="Slower than relu on a CPU.",
    source="Hendrycks & Gimpel 2016, arXiv 1606.08415",
)
class Gelu(Activation):
    """x times the standard normal distribution function of x."""

    approximate: Literal["none", "tanh"] = knob("none", help="exact, or the faster form with tanh")

    def build(self) -> nn.Module:
        """nn.GELU."""
        from torch import nn

        return nn.GELU(approximate=self.approximate)


@card(
    "silu",
    when="Instead of relu in a network with norm layers; also known as swish.",
    beware="Slower than relu on a CPU.",
    source="Ramachandran et al. 2017, arXiv 1710.05941",
)
class Silu(Activation):
    """x * sigmoid(x)."""

    def build(self) -> nn.Module:
        """nn.SiLU."""
        from torch import nn

        return nn.SiLU()


@card(
    "mish",
    when="Instead of relu in a network with norm layers.",
    beware="Slower than relu and silu on a CPU.",
    source="Misra 2019, arXiv 1908.08681",
)
class Mish(Activation):
    """x * tanh(softplus(x))."""

    def build(self) -> nn.Module:
        """nn.Mish."""
        from torch import nn

        return nn.Mish()


@card(
    "softplus",
    when="A smooth ReLU is needed.",
    beware="Never 0, so the mean drifts upwards from layer to layer: it wants a norm layer.",
    source="Dugas et al. 2001, NIPS",
)
class Softplus(Activation):
    """log(1 + exp(x)), the smooth form of ReLU."""

    beta: float = knob(1.0, low=0.1, high=10, help="sharpness; ReLU in the limit")

    def build(self) -> nn.Module:
        """nn.Softplus."""
        from torch import nn

        return nn.Softplus(self.beta)


@card(
    "tanh",
    when="Historical networks, or outputs that must stay bounded; with a Glorot initialisation.",
    beware="Saturates: gradients vanish in deep networks without norm layers.",
    source="LeCun et al. 1998, Efficient BackProp",
)
class Tanh(Activation):
    """tanh(x), from -1 to 1."""

    def build(self) -> nn.Module:
        """nn.Tanh."""
        from torch import nn

        return nn.Tanh()


@card(
    "sigmoid",
    when="To see gradients vanish; with a Glorot initialisation.",
    beware="Its slope is at most 1/4 and its outputs are never negative: deep networks hardly train.",
    source="Rumelhart et al. 1986, Nature 323",
)
class Sigmoid(Activation):
    """1 / (1 + exp(-x)), from 0 to 1."""

    def build(self) -> nn.Module:
        """nn.Sigmoid."""
        from torch import nn

        return nn.Sigmoid()


@card(
    "identity",
    when="To see what depth is worth without a non-linearity.",
    beware="The network stays linear however deep it is.",
    source="Goodfellow et al. 2016, Deep Learning, section 6.1",
)
class Identity(Activation):
    """x itself: no non-linearity."""

    def build(self) -> nn.Module:
        """nn.Identity."""
        from torch import nn

        return nn.Identity()
