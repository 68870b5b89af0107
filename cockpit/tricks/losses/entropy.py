"""Losses that are logarithms of probabilities: one question for all classes together, or one for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cockpit.cards import card, knob
from cockpit.families import Loss
from cockpit.travel import Parts, Task
from cockpit.tricks.losses.targets import one_hot

if TYPE_CHECKING:
    from torch import Tensor

    from cockpit.travel import Criterion


class ClassWeights:
    """Scales what is asked of each class."""

    def __init__(self, weights: Tensor) -> None:
        self._weights = weights

    def loss(self, criterion: Criterion, task: Task) -> Criterion:
        """Each share of the target times the weight of its class, over the mean weight of the batch."""
        weights = self._weights

        def weighted(logits: Tensor, target: Tensor) -> Tensor:
            asked = one_hot(target, logits) * weights.to(logits)
            return criterion(logits, asked / asked.sum(dim=1).mean())

        return weighted


@card(
    "cross_entropy",
    seams=("loss",),
    when="First choice for classification into one of several classes.",
    beware="ln(classes) is the loss of a network that knows nothing. Validation loss is measured without class weights.",
    source="Bridle 1990, NIPS",
    slide="The slide shows the two-class formula under the general name; over several classes it is minus the sum of q ln p.",
)
class CrossEntropy(Loss):
    """Minus the log of the probability that the softmax gives the true class."""

    class_weight: Literal["none", "balanced"] = knob(
        "none", help="balanced: a class counts the more the fewer training images it has, so that all classes count alike"
    )

    def build(self, task: Task) -> Criterion:
        """Mean over the batch."""
        from torch.nn import functional

        return functional.cross_entropy

    @property
    def stands(self) -> tuple[str, ...]:
        """Nowhere, unless classes weigh differently."""
        return () if self.class_weight == "none" else self.card.seams

    def plug(self, parts: Parts) -> ClassWeights:
        """Weights N / (classes present * images of the class)."""
        import torch

        counts = torch.bincount(parts.train.labels, minlength=parts.task.classes)
        balanced = len(parts.train) / ((counts > 0).sum() * counts)
        return ClassWeights(torch.where(counts > 0, balanced, 1.0))  # nothing asks for a class without images


def _sigmoid_shares(logits: Tensor) -> Tensor:
    """The sigmoid of each class over their sum, (N, K), through logarithms: all of them may be nearly 0."""
    from torch.nn import functional

    return functional.logsigmoid(logits).softmax(dim=1)


@card(
    "bce",
    when="Instead of cross-entropy with mixing tricks and long training.",
    beware="The mean over the classes makes gradients several times smaller than cross-entropy's: raise the rate or sum.",
    source="Wightman et al. 2021, arXiv 2110.00476",
    cautions={
        "sgd": "without sum_classes its gradients are several times smaller than those of cross_entropy, and lr must be larger",
    },
)
class BinaryCrossEntropy(Loss):
    """One yes-or-no question for each class, each with its own sigmoid."""

    target_threshold: float | None = knob(None, low=0, below=1, help="soft targets above it count as 1, the others as 0")
    sum_classes: bool = knob(False, help="sum over the classes instead of the mean")

    @property
    def traits(self) -> tuple[str, ...]:
        """`hard_targets` where a threshold undoes what softens them."""
        return ("hard_targets",) if self.target_threshold is not None else ()

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

    def probabilities(self, logits: Tensor) -> Tensor:
        """Each class's own sigmoid, scaled so that a row sums to 1."""
        return _sigmoid_shares(logits)


def _log(share: Tensor) -> Tensor:
    """The log, of 0 as of the smallest normal number."""
    import torch

    return share.clamp(min=torch.finfo(share.dtype).tiny).log()


@card(
    "focal",
    when="Many easy examples drown a few hard ones.",
    beware="With alpha 0.25 a yes weighs a third of a no, which suits detection; with few classes try 0.5 or -1.",
    source="Lin et al. 2017, arXiv 1708.02002",
)
class Focal(Loss):
    """Binary cross-entropy for each class, in which easy answers count less."""

    gamma: float = knob(2.0, low=0, high=5, help="how much less: (1 - p of the right answer) to this power; 0 is bce")
    alpha: float = knob(0.25, low=-1, high=1, help="weight of a yes, 1 - alpha that of a no; -1 weighs both alike")

    def __post_init__(self) -> None:
        if -1 < self.alpha < 0:
            raise ValueError(f"alpha {self.alpha:g} is neither a share nor -1; take -1 to weigh yes and no alike")

    def build(self, task: Task) -> Criterion:
        """Sum over the classes, mean over the batch. What torchvision.ops.sigmoid_focal_loss says, and finite far out."""
        import torch
        from torch.nn import functional

        def criterion(logits: Tensor, target: Tensor) -> Tensor:
            yes = one_hot(target, logits)
            # The log of the probability of a wrong answer: a power of that probability has no gradient where it is exactly 0.
            says_yes, says_no = functional.logsigmoid(logits), functional.logsigmoid(-logits)
            wrong = torch.stack([says_yes + _log(1 - yes), says_no + _log(yes)]).logsumexp(dim=0)
            each = (self.gamma * wrong).exp() * functional.binary_cross_entropy_with_logits(logits, yes, reduction="none")
            if self.alpha >= 0:
                each = each * (self.alpha * yes + (1 - self.alpha) * (1 - yes))
            return each.sum() / len(logits)

        return criterion

    def probabilities(self, logits: Tensor) -> Tensor:
        """Each class's own sigmoid, scaled so that a row sums to 1."""
        return _sigmoid_shares(logits)
