"""Optimizers that divide each gradient by its usual size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cockpit.cards import card, knob
from cockpit.families import Optimizer
from cockpit.tricks.optimizers._shared import L2, rated

if TYPE_CHECKING:
    import torch

L2_HELP = "L2 penalty, added to the gradient"


@card(
    "adagrad",
    cautions=L2,
    when="Rare features: a weight that seldom has a gradient keeps a large rate.",
    beware="Every rate only shrinks, so that long runs stall.",
    source="Duchi et al. 2011, JMLR 12",
)
class Adagrad(Optimizer):
    """Divide the gradient by the root of the sum of all its squares so far."""

    lr: float = knob(0.01, above=0, high=20, live=True, help="learning rate")
    eps: float = knob(1e-10, above=0, high=1, help="added to the root of the sum")
    initial_accumulator_value: float = knob(0.0, low=0, high=10, help="where the sum starts; more makes the first steps small")
    weight_decay: float = knob(0.0, low=0, high=1, live=True, help=L2_HELP)

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """torch.optim.Adagrad."""
        from torch import optim

        from cockpit.optim.kernels import kernels

        return optim.Adagrad(rated(groups, self), **self.options(), **kernels(optim.Adagrad, groups))


@card(
    "rmsprop",
    cautions=L2,
    when="To compare with Adam; recurrent and small networks.",
    beware="No bias correction, so that the first steps are large: warm up. torch's own default rate of 0.01 is high.",
    source="Tieleman & Hinton 2012, Coursera lecture 6.5",
)
class RmsProp(Optimizer):
    """Divide the gradient by the root of the running mean of its square."""

    lr: float = knob(1e-3, above=0, high=20, live=True, help="learning rate")
    alpha: float = knob(0.99, above=0, below=1, live=True, help="memory of the squared gradient")
    momentum: float = knob(0.0, low=0, high=0.999, help="share of the last step that is kept")
    centered: bool = knob(False, help="divide by the standard deviation: subtract the squared mean gradient")
    eps: float = knob(1e-8, above=0, high=1, help="added to the root of the second moment")
    weight_decay: float = knob(0.0, low=0, high=1, live=True, help=L2_HELP)

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """torch.optim.RMSprop."""
        from torch import optim

        return optim.RMSprop(rated(groups, self), **self.options())


@card(
    "adadelta",
    cautions=L2,
    when="To train without choosing a rate, as the paper meant it.",
    beware="lr 1 is the paper's. eps sets how fast it starts: steps begin near its root.",
    source="Zeiler 2012, arXiv 1212.5701",
)
class Adadelta(Optimizer):
    """Step by the gradient times the usual size of a step over the usual size of a gradient."""

    lr: float = knob(1.0, above=0, high=20, live=True, help="factor on the step that it finds")
    rho: float = knob(0.9, above=0, below=1, live=True, help="memory of the squared gradients and steps")
    eps: float = knob(1e-6, above=0, high=1, help="added to both squares before the root")
    weight_decay: float = knob(0.0, low=0, high=1, live=True, help=L2_HELP)

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """torch.optim.Adadelta."""
        from torch import optim

        return optim.Adadelta(rated(groups, self), **self.options())
