"""Initialisations: how linear and convolution weights start. `in` and `out` are the fan-in and the fan-out of a weight."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from cockpit.cards import card, knob
from cockpit.families import Activation, Init
from cockpit.tricks.activations import LeakyRelu, Prelu, Tanh

if TYPE_CHECKING:
    from torch import Tensor


def slope(activation: Activation) -> float:
    """The slope for negative inputs that He's formula asks for; 0 where it has no meaning."""
    if isinstance(activation, LeakyRelu):
        return activation.negative_slope
    return activation.init if isinstance(activation, Prelu) else 0.0


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
)
class HeNormal(Init):
    """N(0, 2/in), less for a leaky ReLU: keeps the signal's size through ReLU layers."""

    mode: Literal["fan_in", "fan_out"] = knob("fan_in", help="keep the size of the signal, or that of the gradient")

    def fill(self, weight: Tensor, activation: Activation) -> None:
        """Std sqrt(2 / ((1 + slope^2) in))."""
        from torch import nn

        nn.init.kaiming_normal_(weight, a=slope(activation), mode=self.mode, nonlinearity="leaky_relu")


@card(
    "he_uniform",
    when="ReLU and its relatives.",
    beware="Same variance as he_normal; there is little to choose between them.",
    source="He et al. 2015, arXiv 1502.01852",
)
class HeUniform(Init):
    """Uniform with the variance of he_normal: bound sqrt(6/in)."""

    mode: Literal["fan_in", "fan_out"] = knob("fan_in", help="keep the size of the signal, or that of the gradient")

    def fill(self, weight: Tensor, activation: Activation) -> None:
        """Bound sqrt(6 / ((1 + slope^2) in))."""
        from torch import nn

        nn.init.kaiming_uniform_(weight, a=slope(activation), mode=self.mode, nonlinearity="leaky_relu")


@card(
    "glorot_normal",
    when="tanh, sigmoid and linear networks; also known as Xavier.",
    beware="Half of what ReLU needs where in and out are equal.",
    source="Glorot & Bengio 2010, AISTATS",
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


@card(
    "orthogonal",
    when="Deep networks without norm layers.",
    beware="A filter bank is flattened to out x (in k k) first.",
    source="Saxe et al. 2013, arXiv 1312.6120",
)
class Orthogonal(Init):
    """A random matrix with orthogonal rows or columns: every singular value is the gain."""

    gain: float = knob(1.0, low=0.1, high=2, help="factor on the matrix; ReLU wants about 1.4")

    def fill(self, weight: Tensor, activation: Activation) -> None:
        """Rows orthogonal where there are no more than columns, else columns."""
        from torch import nn

        nn.init.orthogonal_(weight, self.gain)


@card(
    "normal_001",
    when="Shallow networks, or to see what the He initialisation cured.",
    beware="0.01 is the standard deviation; the signal dies in deep networks without norm layers.",
    source="Krizhevsky et al. 2012, NIPS",
)
class Normal001(Init):
    """N(0, 0.01^2), whatever the width."""

    std: float = knob(0.01, low=1e-4, high=1, help="standard deviation")

    def fill(self, weight: Tensor, activation: Activation) -> None:
        """The same std for every layer."""
        from torch import nn

        nn.init.normal_(weight, std=self.std)


@card(
    "trunc_normal_002",
    when="Vision transformers.",
    beware="Small for convolutional networks without norm layers.",
    source="Dosovitskiy et al. 2021, arXiv 2010.11929",
)
class TruncNormal002(Init):
    """N(0, 0.02^2), whatever the width, cut off at -2 and 2."""

    std: float = knob(0.02, low=1e-4, high=1, help="standard deviation before the cut")

    def fill(self, weight: Tensor, activation: Activation) -> None:
        """The same std for every layer."""
        from torch import nn

        nn.init.trunc_normal_(weight, std=self.std)


@card(
    "uniform",
    when="To compare with what was usual before 2010.",
    beware="The bound does not know the width: too much for wide layers, too little for narrow ones.",
    source="Goodfellow et al. 2016, Deep Learning, section 8.4",
)
class Uniform(Init):
    """Uniform between -bound and bound, whatever the width."""

    bound: float = knob(0.05, low=1e-3, high=1, help="largest absolute weight")

    def fill(self, weight: Tensor, activation: Activation) -> None:
        """The same bound for every layer."""
        from torch import nn

        nn.init.uniform_(weight, -self.bound, self.bound)


@card(
    "torch_default",
    when="To repeat a plain PyTorch script number for number.",
    beware="Std 1/sqrt(3 in), well under He's sqrt(2/in); biases are random too.",
    source="PyTorch, torch.nn.Linear.reset_parameters",
)
class TorchDefault(Init):
    """Leave weights and biases as PyTorch made them: uniform within 1/sqrt(in)."""

    as_built: ClassVar[bool] = True

    def fill(self, weight: Tensor, activation: Activation) -> None:
        """Leave the weight alone."""


@card(
    "zeros",
    when="To see why weights must differ.",
    beware="Only the last bias moves: the network learns how frequent each class is, and nothing else.",
    source="Goodfellow et al. 2016, Deep Learning, section 8.4",
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
)
class Constant(Init):
    """Every weight the same number."""

    value: float = knob(0.1, low=-1, high=1, help="the weight")

    def fill(self, weight: Tensor, activation: Activation) -> None:
        """The same number everywhere."""
        from torch import nn

        nn.init.constant_(weight, self.value)
