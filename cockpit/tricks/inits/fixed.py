"""Random weights of one size, whatever the width of the layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cockpit.cards import card, knob
from cockpit.families import Activation, Init

if TYPE_CHECKING:
    from torch import Tensor


@card(
    "normal_001",
    when="Shallow networks, or to see what the He initialisation cured.",
    beware="0.01 is the standard deviation; the signal dies in deep networks without norm layers.",
    source="Krizhevsky et al. 2012, NIPS",
    slide="The slide calls 0.01 the standard deviation and then writes it where N takes the variance; it is the standard "
    "deviation, and as a variance it would mean 0.1.",
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
    slide="The slide gives no bound; a uniform start means nothing without one.",
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
