"""Gradient descent: on all images, on a batch, and with the last steps in mind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cockpit.cards import card, knob
from cockpit.families import Optimizer
from cockpit.tricks.optimizers._shared import FULL_BATCH, IN_PARTS, FullBatch, rated

if TYPE_CHECKING:
    import torch

L2_HELP = "L2 penalty, added to the gradient; 5e-4 is usual"


@dataclass(frozen=True)
class Descent(Optimizer):
    """What they share: torch.optim.SGD."""

    lr: float = knob(0.1, above=0, high=20, live=True, help="learning rate")
    weight_decay: float = knob(0.0, low=0, high=1, live=True, help=L2_HELP)

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """torch.optim.SGD."""
        from cockpit.optim.sgd import Sgd

        return Sgd(rated(groups, self), **self.options())


@card(
    "gd",
    seams=("sampler",),
    stage="group",
    conflicts=FULL_BATCH,
    cautions=IN_PARTS,
    when="To see what the noise of small batches is worth: the curve falls without a wiggle, and slowly.",
    beware="One step an epoch, so it needs many epochs. Stable only for lr < 2 / the largest eigenvalue of the Hessian.",
    source="Cauchy 1847",
)
class Gd(FullBatch, Descent):
    """One step against the gradient of the whole training set in each epoch."""


@card(
    "sgd",
    when="First choice for convolutional networks, with momentum 0.9 and a schedule that ends near 0.",
    beware="Weight decay is added to the gradient. The best learning rate is often a hundred times that of Adam.",
    source="Robbins & Monro 1951; Polyak 1964; Nesterov 1983",
)
class Sgd(Descent):
    """Step against the gradient of the batch, optionally with momentum."""

    momentum: float = knob(0.0, low=0, high=0.999, live=True, help="share of the last step that is kept; 0.9 is usual")
    nesterov: bool = knob(False, help="look ahead along the momentum")
    dampening: float = knob(0.0, low=0, high=1, live=True, help="share of the new gradient that momentum leaves out")

    def __post_init__(self) -> None:
        """ValueError where nesterov has no momentum, or a dampened one."""
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0; 0.9 is usual")
        if self.nesterov and self.dampening:
            raise ValueError("nesterov needs dampening 0")


@card(
    "momentum",
    when="Nearly always in place of plain sgd: it gets over small hills and along narrow valleys.",
    beware="With momentum 0.9 a steady gradient moves the weights ten times as far as lr alone.",
    source="Polyak 1964",
    slide="The slide's v = mv - lr g, w += v is right; torch keeps v = mv + g and steps by -lr v, "
    "which is the same for a constant rate and differs when the rate changes.",
)
class Momentum(Descent):
    """Step along a running sum of gradients that forgets the old ones."""

    momentum: float = knob(0.9, above=0, high=0.999, live=True, help="share of the last step that is kept")


@card(
    "nesterov",
    when="As momentum, often a little better and calmer.",
    beware="torch evaluates the gradient at the weights and corrects the step, which is the same in other variables.",
    source="Nesterov 1983; Sutskever et al. 2013, ICML",
)
class Nesterov(Descent):
    """Momentum that measures the gradient where the momentum is about to go."""

    momentum: float = knob(0.9, above=0, high=0.999, live=True, help="share of the last step that is kept")

    def options(self) -> dict[str, Any]:
        """As the base says, with torch's switch."""
        return {**super().options(), "nesterov": True}
