"""Losses of regression, turned on the one-hot target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cockpit.cards import card, knob
from cockpit.families import Loss
from cockpit.travel import Task
from cockpit.tricks.losses.targets import one_hot

if TYPE_CHECKING:
    from torch import Tensor

    from cockpit.travel import Criterion


@card(
    "mse",
    when="To compare with cross-entropy: on logits it often does as well.",
    beware="On the softmax its gradient vanishes where the network is wrong and sure; wants a larger rate than cross_entropy.",
    source="Hui & Belkin 2020, arXiv 2006.07322",
)
class MeanSquaredError(Loss):
    """Squared distance to the one-hot target."""

    on: Literal["logits", "softmax"] = knob("logits", help="what is compared with the target")
    scale: float = knob(1.0, low=1, high=30, help="the 1 of the one-hot target; many classes want more")

    def build(self, task: Task) -> Criterion:
        """Mean over the batch and over the classes."""
        from torch.nn import functional

        def criterion(logits: Tensor, target: Tensor) -> Tensor:
            output = logits.softmax(dim=1) if self.on == "softmax" else logits
            return functional.mse_loss(output, self.scale * one_hot(target, logits))

        return criterion


@card(
    "mae",
    when="Labels are wrong, and classes are few.",
    beware="Hardly trains with many classes: a demonstration that robust and easy to train are two things.",
    source="Ghosh et al. 2017, arXiv 1712.09482",
)
class MeanAbsoluteError(Loss):
    """Absolute distance to the one-hot target."""

    on: Literal["logits", "softmax"] = knob("softmax", help="what is compared with the target")

    def build(self, task: Task) -> Criterion:
        """Mean over the batch and over the classes."""
        from torch.nn import functional

        def criterion(logits: Tensor, target: Tensor) -> Tensor:
            output = logits.softmax(dim=1) if self.on == "softmax" else logits
            return functional.l1_loss(output, one_hot(target, logits))

        return criterion


@card(
    "huber",
    when="mse, where a few outputs far off should not rule the gradient.",
    beware="The mean over the classes makes gradients small: wants a larger rate than cross_entropy.",
    source="Huber 1964, Annals of Mathematical Statistics 35",
)
class Huber(Loss):
    """Distance of the logits to the one-hot target, squared near 0 and absolute far off."""

    delta: float = knob(1.0, low=0.01, high=10, help="the distance at which it turns from squared to absolute")

    def build(self, task: Task) -> Criterion:
        """Mean over the batch and over the classes."""
        from torch.nn import functional

        def criterion(logits: Tensor, target: Tensor) -> Tensor:
            return functional.huber_loss(logits, one_hot(target, logits), delta=self.delta)

        return criterion
