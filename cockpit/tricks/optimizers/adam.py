"""Adam and its nearest kin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cockpit.cards import card, knob
from cockpit.tricks.optimizers._shared import L2, Betas, rated

if TYPE_CHECKING:
    import torch

L2_HELP = "L2 penalty, added to the gradient"
DECAY_HELP = "share of the weights, times lr, that each step removes"


@dataclass(frozen=True)
class AdamLike(Betas):
    """What they share."""

    eps: float = knob(1e-8, above=0, high=1, help="added to the root of the second moment")


@card(
    "adam",
    cautions=L2,
    when="A learning rate that works at once; badly scaled problems.",
    beware="Its weight decay is mixed into the gradient and mostly divided away: take adamw for decay.",
    source="Kingma & Ba 2015, arXiv 1412.6980",
    slide="The slide subtracts in both averages, multiplies the step by the gradient once more, puts eps inside the root and "
    "leaves out the bias correction; the averages add, and the step is -lr m / (sqrt(v) + eps), both corrected.",
)
class Adam(AdamLike):
    """Momentum, divided by the root of the running mean of the squared gradient, both bias-corrected."""

    amsgrad: bool = knob(False, help="divide by the largest second moment so far")
    weight_decay: float = knob(0.0, low=0, high=1, live=True, help=L2_HELP)

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """torch.optim.Adam."""
        from torch import optim

        from cockpit.optim.kernels import kernels

        return optim.Adam(rated(groups, self), **self.options(), **kernels(optim.Adam, groups))


@card(
    "adamw",
    cautions=L2,
    when="First choice for transformers.",
    beware="What counts is lr * weight_decay: a changed rate changes the decay. torch's own default decay is 0.01.",
    source="Loshchilov & Hutter 2019, arXiv 1711.05101",
)
class AdamW(AdamLike):
    """Adam with decoupled weight decay: each step shrinks the weights by lr * weight_decay."""

    amsgrad: bool = knob(False, help="divide by the largest second moment so far")
    weight_decay: float = knob(0.05, low=0, high=1, live=True, help=DECAY_HELP)

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """torch.optim.AdamW."""
        from torch import optim

        from cockpit.optim.kernels import kernels

        return optim.AdamW(rated(groups, self), **self.options(), **kernels(optim.AdamW, groups))


@card(
    "nadam",
    cautions=L2,
    when="As adam, where Nesterov's look ahead helps: often a little faster.",
    beware="timm's nadam is this one of torch; timm's nadamw is another implementation.",
    source="Dozat 2016, ICLR workshop",
)
class NAdam(AdamLike):
    """Adam with Nesterov momentum, whose share grows over the first steps."""

    lr: float = knob(2e-3, above=0, high=20, live=True, help="learning rate")
    momentum_decay: float = knob(0.004, low=0, high=1, help="how fast the momentum reaches its full share")
    decoupled_weight_decay: bool = knob(True, help="shrink the weights, as adamw; off: an L2 penalty, as adam")
    weight_decay: float = knob(0.0, low=0, high=1, live=True, help=DECAY_HELP)

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """torch.optim.NAdam."""
        from torch import optim

        return optim.NAdam(rated(groups, self), **self.options())


@card(
    "radam",
    cautions=L2,
    when="Adam without a warm-up.",
    beware="The first five steps are plain momentum, without the division, and follow the size of the gradient.",
    source="Liu et al. 2020, arXiv 1908.03265",
)
class RAdam(AdamLike):
    """Adam that trusts its second moment only as far as the number of steps allows: a warm-up of its own."""

    decoupled_weight_decay: bool = knob(True, help="shrink the weights, as adamw; off: an L2 penalty, as adam")
    weight_decay: float = knob(0.0, low=0, high=1, live=True, help=DECAY_HELP)

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """torch.optim.RAdam."""
        from torch import optim

        return optim.RAdam(rated(groups, self), **self.options())
