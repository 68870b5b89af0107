"""Losses that ask for a distance from the border between classes, and the one that they stand in for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cockpit.cards import card, knob
from cockpit.families import Loss
from cockpit.travel import Task
from cockpit.tricks.losses.targets import NEEDS_INDICES, one_hot

if TYPE_CHECKING:
    from torch import Tensor

    from cockpit.travel import Criterion

SLIDE = "The slide calls hinge the 0-1 loss; hinge is an upper bound of it, and 0-1 itself has no gradient to follow."


@card(
    "hinge_multi",
    tags=("index_only",),
    conflicts={"soft_targets": NEEDS_INDICES},
    when="To compare a margin with probabilities: an answer that is right by the margin is left alone.",
    beware="The mean over the classes makes gradients small. Its logits are no probabilities: log_loss and ece say little.",
    source="Crammer & Singer 2001, JMLR 2",
)
class HingeMulti(Loss):
    """The true class's logit must beat every other by a margin."""

    margin: float = knob(1.0, low=0.1, high=10, help="by how much")
    p: Literal[1, 2] = knob(1, help="2 squares what is missing")

    def build(self, task: Task) -> Criterion:
        """Mean over the batch, and over the classes as in torch.nn.MultiMarginLoss, which has no second derivative."""

        def criterion(logits: Tensor, target: Tensor) -> Tensor:
            true = target[:, None]
            missing = (self.margin + logits - logits.gather(1, true)).clamp(min=0).scatter(1, true, 0.0)
            return (missing**self.p).mean()

        return criterion


@card(
    "hinge_ovr",
    when="The lecture's hinge, one class against the rest; unlike hinge_multi it takes soft targets.",
    beware="The mean over the classes makes gradients small. Its logits are no probabilities: log_loss and ece say little.",
    source="Cortes & Vapnik 1995, Machine Learning 20",
    slide=SLIDE,
)
class HingeOneVersusRest(Loss):
    """max(0, margin - y f) for each class, with y = 1 for the true one and -1 for the others."""

    margin: float = knob(1.0, low=0.1, high=10, help="the distance from 0 that is asked of each logit")
    squared: bool = knob(False, help="square what is missing")

    def build(self, task: Task) -> Criterion:
        """Mean over the batch and the classes; a soft target q asks for y = 2 q - 1."""

        def criterion(logits: Tensor, target: Tensor) -> Tensor:
            missing = (self.margin - (2 * one_hot(target, logits) - 1) * logits).clamp(min=0)
            return (missing.square() if self.squared else missing).mean()

        return criterion


@card(
    "zero_one",
    when="To see that what we want to know cannot be trained on: its gradient is 0 everywhere.",
    beware="A demonstration: the weights move by weight decay alone. The score `accuracy` is 1 minus this.",
    source="Bishop 2006, Pattern Recognition and Machine Learning, section 1.5",
    slide=SLIDE,
)
class ZeroOne(Loss):
    """The share of mistakes."""

    def build(self, task: Task) -> Criterion:
        """Mean over the batch; where the target is soft, the share that the answer leaves out."""

        def criterion(logits: Tensor, target: Tensor) -> Tensor:
            right = one_hot(target, logits).gather(1, logits.argmax(dim=1, keepdim=True))
            return (1 - right).mean() + (0 * logits).sum()  # the zeros give the backward pass a way to go

        return criterion
