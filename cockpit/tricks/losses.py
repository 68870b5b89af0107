"""Losses: what the training minimises. All of these take class indices (B,) and soft targets (B, K) alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cockpit.cards import card, knob
from cockpit.families import Loss
from cockpit.travel import Task

if TYPE_CHECKING:
    from torch import Tensor

    from cockpit.travel import Criterion


def one_hot(target: Tensor, logits: Tensor) -> Tensor:
    """Targets as (B, K) in the type of the logits: indices become one-hot rows, soft targets stay."""
    from torch.nn import functional

    rows = target if target.is_floating_point() else functional.one_hot(target, logits.shape[1])
    return rows.to(logits.dtype)


@card(
    "cross_entropy",
    when="First choice for classification into one of several classes.",
    beware="ln(classes) is the loss of a network that knows nothing.",
    source="Bridle 1990, NIPS",
)
class CrossEntropy(Loss):
    """Minus the log of the probability that the softmax gives the true class."""

    def build(self, task: Task) -> Criterion:
        """Mean over the batch."""
        from torch.nn import functional

        return functional.cross_entropy


@card(
    "bce",
    when="Instead of cross-entropy with mixing tricks and long training.",
    beware="The mean over the classes makes gradients several times smaller than cross-entropy's: raise the rate or sum.",
    source="Wightman et al. 2021, arXiv 2110.00476",
)
class BinaryCrossEntropy(Loss):
    """One yes-or-no question for each class, each with its own sigmoid."""

    target_threshold: float | None = knob(None, low=0, below=1, help="soft targets above it count as 1, the others as 0")
    sum_classes: bool = knob(False, help="sum over the classes instead of the mean")

    def build(self, task: Task) -> Criterion:
        """Mean over the batch, and mean or sum over the classes."""
        from torch.nn import functional

        scale = task.classes if self.sum_classes else 1

        def criterion(logits: Tensor, target: Tensor) -> Tensor:
            wanted = one_hot(target, logits)
            if self.target_threshold is not None:
                wanted = (wanted > self.target_threshold).to(logits.dtype)
            return scale * functional.binary_cross_entropy_with_logits(logits, wanted)

        return criterion


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
