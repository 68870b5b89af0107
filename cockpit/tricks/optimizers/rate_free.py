"""Optimizers that find their own learning rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cockpit.cards import card, knob
from cockpit.families import Optimizer
from cockpit.tricks.optimizers._shared import L2, NO_RATE, rated

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class RateFree(Optimizer):
    """What they share."""

    contract: ClassVar[tuple[str, ...]] = ("no_lr",)

    weight_decay: float = knob(0.0, low=0, high=1, live=True, help="L2 penalty, added to the gradient")

    @property
    def lr(self) -> float:
        """1: nothing looks at it."""
        return 1.0


@card(
    "adasecant",
    conflicts=NO_RATE,
    cautions=L2,
    when="To see a method that needs no learning rate at all.",
    beware="Rarely better than a tuned rate: 0.93 on the digits after 15 epochs, where adam had 0.96 (an mlp, one seed).",
    source="Gulcehre & Bengio 2014, arXiv 1412.7419",
)
class AdaSecant(RateFree):
    """Each weight's rate from the secant of its gradient: how far it moved over how far the gradient did.

    The gradient of each tensor is normalised first. Written from the paper; the start of the squared step is ours.
    """

    gamma_clip: float = knob(1.8, above=0, high=10, live=True, help="most weight of the mean gradient in the step")
    decay: float = knob(0.95, above=0, below=1, live=True, help="memory of the gradient's mean and square")
    adagrad_floor: bool = knob(True, live=True, help="divide by the root of the sum of squares where that is above 1")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """cockpit.optim.adasecant."""
        from cockpit.optim import adasecant

        return adasecant.AdaSecant(rated(groups, self), **self.options())


@card(
    "vsgd",
    conflicts={
        **NO_RATE,
        "grad_clip": "curvature is the difference of two gradients, and each is clipped by another factor",
    },
    when="To see a method that needs no learning rate and follows a problem that changes.",
    beware="Two passes a step. The first n0 steps only measure. Libraries call another method, of 2024, by this name.",
    source="Schaul et al. 2012, arXiv 1206.1106; Schaul & LeCun 2013, arXiv 1301.3764",
)
class VSgd(RateFree):
    """Each weight's rate from its gradient's mean over its noise, divided by its curvature.

    The curvature is the change of the gradient of the same batch one mean gradient away. Written from the papers.
    """

    contract: ClassVar[tuple[str, ...]] = ("closure", "no_lr")

    slow: float = knob(2.0, low=1, high=100, help="how much noise and curvature are overrated at first")
    n0: int = knob(10, low=1, high=1000, help="steps that only measure")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """cockpit.optim.vsgd."""
        from cockpit.optim.vsgd import Vsgd

        return Vsgd(rated(groups, self), **self.options())


@card(
    "prodigy",
    conflicts={"lr_scaling": "lr is a factor on the step that prodigy finds, not a rate of a batch size"},
    cautions=L2,
    when="Adam without a search for the rate.",
    beware="Keep lr at 1: it is a factor on the step that is found. The first steps are tiny; cosine is fine, warm-up is not.",
    source="Mishchenko & Defazio 2023, arXiv 2306.06101",
)
class Prodigy(Optimizer):
    """Adam whose step grows with its estimate of how far away the solution is."""

    lr: float = knob(1.0, above=0, high=20, live=True, help="factor on the step that it finds; leave it at 1")
    weight_decay: float = knob(
        0.0, low=0, high=1, live=True, help="share of the weights, times the rate, that each step removes"
    )

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """cockpit.optim.prodigy."""
        from cockpit.optim import prodigy

        return prodigy.Prodigy(rated(groups, self), **self.options())
