"""Weights with a structure: rotations, and filters that hand their input on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cockpit.cards import card, knob
from cockpit.families import Activation, Init
from cockpit.tricks.inits.scaled import slope

if TYPE_CHECKING:
    from torch import Tensor


@card(
    "orthogonal",
    when="Deep networks without norm layers.",
    beware="A filter bank is flattened to out x (in k k) first.",
    source="Saxe et al. 2013, arXiv 1312.6120",
    slide="The slide says that the eigenvalues are one; the singular values are, and the eigenvalues have modulus one.",
)
class Orthogonal(Init):
    """A random matrix with orthogonal rows or columns: every singular value is the gain."""

    gain: float = knob(1.0, low=0.1, high=2, help="factor on the matrix; ReLU wants about 1.4")

    def fill(self, weight: Tensor, activation: Activation) -> None:
        """Rows orthogonal where there are no more than columns, else columns."""
        from torch import nn

        nn.init.orthogonal_(weight, self.gain)


@card(
    "dirac",
    when="Deep convolutional networks without skip connections: each layer starts as a copy of its input.",
    beware="Filters beyond the first min(in, out), and linear layers, start as he_normal.",
    source="Jordan 2024, arXiv 2404.00498",
    conflicts={"multi_input": "the first layers would all be the identity"},
)
class Dirac(Init):
    """Convolutions start by handing on their first channels unchanged."""

    def fill(self, weight: Tensor, activation: Activation) -> None:
        """A 1 in the middle of filter i at channel i, for the first min(in, out) filters; He's random weights elsewhere."""
        from torch import nn

        nn.init.kaiming_normal_(weight, a=slope(None, activation), nonlinearity="leaky_relu")
        if weight.ndim > 2:
            nn.init.dirac_(weight.detach()[: weight.shape[1]])
