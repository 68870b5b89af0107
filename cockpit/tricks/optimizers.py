"""Optimizers: how gradients become updates. The mathematics is torch's; the cards say what torch's defaults hide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cockpit.cards import card, knob
from cockpit.families import Optimizer

if TYPE_CHECKING:
    import torch


def _rated(groups: list[dict[str, Any]], lr: float) -> list[dict[str, Any]]:
    """The groups with their learning rates: the rate times a group's own `lr_scale`."""
    return [{**group, "lr": lr * group.get("lr_scale", 1.0)} for group in groups]


@card(
    "sgd",
    when="First choice for convolutional networks, with momentum 0.9 and a schedule that ends near 0.",
    beware="Weight decay is added to the gradient. The best learning rate is often a hundred times that of Adam.",
    source="Robbins & Monro 1951; Polyak 1964; Nesterov 1983",
)
class Sgd(Optimizer):
    """Step against the gradient of the batch, optionally with momentum."""

    lr: float = knob(0.1, above=0, high=20, live=True, help="learning rate")
    momentum: float = knob(0.0, low=0, high=0.999, live=True, help="share of the last step that is kept; 0.9 is usual")
    nesterov: bool = knob(False, help="look ahead along the momentum")
    weight_decay: float = knob(0.0, low=0, high=1, live=True, help="L2 penalty, added to the gradient; 5e-4 is usual")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """torch.optim.SGD. ValueError where nesterov has no momentum."""
        from torch import optim

        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0; 0.9 is usual")
        return optim.SGD(_rated(groups, self.lr), **self.options())


@dataclass(frozen=True)
class AdamLike(Optimizer):
    """What adam and adamw share."""

    lr: float = knob(1e-3, above=0, high=20, live=True, help="learning rate")
    betas: tuple[float, float] = knob((0.9, 0.999), low=0, below=1, help="memory of the gradient, and of its square")
    eps: float = knob(1e-8, above=0, high=1, help="added to the root of the second moment")
    amsgrad: bool = knob(False, help="divide by the largest second moment so far")

    def options(self) -> dict[str, Any]:
        """As the base says. ValueError where betas is no pair."""
        if len(self.betas) != 2:
            raise ValueError(f"betas takes two numbers, as in [0.9, 0.999]; it has {len(self.betas)}")
        return super().options()


@card(
    "adam",
    when="A learning rate that works at once; badly scaled problems.",
    beware="Its weight decay is mixed into the gradient and mostly divided away: take adamw for decay.",
    source="Kingma & Ba 2015, arXiv 1412.6980",
)
class Adam(AdamLike):
    """Momentum, divided by the root of the running mean of the squared gradient, both bias-corrected."""

    weight_decay: float = knob(0.0, low=0, high=1, live=True, help="L2 penalty, added to the gradient")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """torch.optim.Adam."""
        from torch import optim

        return optim.Adam(_rated(groups, self.lr), **self.options())


@card(
    "adamw",
    when="First choice for transformers.",
    beware="What counts is lr * weight_decay: a changed rate changes the decay. torch's own default decay is 0.01.",
    source="Loshchilov & Hutter 2019, arXiv 1711.05101",
)
class AdamW(AdamLike):
    """Adam with decoupled weight decay: each step shrinks the weights by lr * weight_decay."""

    weight_decay: float = knob(0.05, low=0, high=1, live=True, help="share of the weights, times lr, that each step removes")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """torch.optim.AdamW."""
        from torch import optim

        return optim.AdamW(_rated(groups, self.lr), **self.options())


@card(
    "rmsprop",
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
    weight_decay: float = knob(0.0, low=0, high=1, live=True, help="L2 penalty, added to the gradient")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """torch.optim.RMSprop."""
        from torch import optim

        return optim.RMSprop(_rated(groups, self.lr), **self.options())
