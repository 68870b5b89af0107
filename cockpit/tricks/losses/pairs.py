"""Losses on the distances between the features of a batch, beside the cross-entropy that trains the head."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from cockpit.cards import card, knob
from cockpit.families import Loss
from cockpit.travel import Epoch, Parts, Task
from cockpit.tricks.losses.classes import batches_by_class
from cockpit.tricks.losses.targets import NEEDS_INDICES, ONE_HEAD

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cockpit.travel import Criterion


class OnFeatures:
    """Adds a term on what the head of the network is given to the criterion on what it puts out."""

    def __init__(self, model: nn.Module, ce_weight: float, term: Callable[[Tensor, Tensor], Tensor]) -> None:
        from cockpit.nets.places import head_of

        self._ce_weight, self._term = ce_weight, term
        self._features: Tensor | None = None

        def keep(module: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
            if module.training:
                self._features = inputs[0]

        # Behind the head, where the inputs are those after any dropout, in whatever order the two were hung there.
        self._hook = head_of(model).layer.register_forward_hook(keep)

    def loss(self, criterion: Criterion, task: Task) -> Criterion:
        """ce_weight * criterion + term(unit features (B, D), indices (B,)). Outside of training there are only logits."""
        from torch.nn import functional

        def both(logits: Tensor, target: Tensor) -> Tensor:
            features, self._features = self._features, None  # a later loss must not reach back into this pass
            loss = self._ce_weight * criterion(logits, target)
            if features is None or len(features) != len(logits):
                return loss
            return loss + self._term(functional.normalize(features.flatten(1).float()), target)

        return both

    def close(self) -> None:
        """Take the hook off."""
        self._hook.remove()


class OnTriplets(OnFeatures):
    """The same, on batches in which every class has company."""

    def sampler(self, batches: tuple[Tensor, ...], epoch: Epoch) -> tuple[Tensor, ...]:
        """As many batches of the same sizes, drawn by class."""
        return batches_by_class([len(batch) for batch in batches], epoch.labels, epoch.stream("triplet"))


@card(
    "triplet",
    seams=("sampler", "loss"),
    stage="draw",
    tags=("index_only",),
    conflicts={
        "soft_targets": NEEDS_INDICES,
        "multi_input": ONE_HEAD,
        "repeated_aug": "the triplets need several images of a class, not one image several times",
    },
    when="Images are to be found by likeness, or classes have few images each.",
    beware="Draws its batches by class, 8 images or more of each: an epoch shows some images twice and some never. "
    "A loss that stays at the margin means that all features fell together. Validation loss is cross-entropy.",
    source="Schroff et al. 2015, arXiv 1503.03832; Hermans et al. 2017, arXiv 1703.07737",
)
class Triplet(Loss):
    """Features of one class nearer to each other than to any other class, by a margin; beside cross-entropy."""

    margin: float = knob(0.2, low=0, high=2, help="by how much; distances between unit vectors lie in [0, 2]")
    mining: Literal["batch_hard", "random"] = knob(
        "batch_hard", help="for each image the farthest of its class and the nearest of another, or one of each at random"
    )
    ce_weight: float = knob(
        1.0, above=0, high=10, help="weight of the cross-entropy, without which the head would learn nothing"
    )

    def build(self, task: Task) -> Criterion:
        """Cross-entropy, mean over the batch."""
        from torch.nn import functional

        return functional.cross_entropy

    def plug(self, parts: Parts) -> OnTriplets:
        """Listen to the features. ValueError where no triplet can be made."""
        import torch

        if int((torch.bincount(parts.train.labels) > 1).sum()) < 2:
            raise ValueError("loss: triplet needs two classes of two training images each; take more images, or cosine_pairs")
        return OnTriplets(parts.model, self.ce_weight, self.term)

    def term(self, unit: Tensor, target: Tensor) -> Tensor:
        """Mean over the images that have both partners. `unit`: (B, D) of length 1; `target`: int64 (B,)."""
        import torch

        # The clamp takes the place of the root at 0, where it has no gradient: a pair of equal images pulls nowhere.
        distance = (2 - 2 * unit @ unit.T).clamp(min=1e-12).sqrt()
        alike = target[:, None] == target[None]
        positive = alike & ~torch.eye(len(target), dtype=torch.bool, device=target.device)
        if self.mining == "batch_hard":
            far, near = distance, distance
        else:  # the next in the batch, whose order is random already, so that a second look finds the same
            place = torch.arange(len(target), device=target.device)
            near = (place[None] - place[:, None]).remainder(len(target)).to(distance.dtype)
            far = -near
        friend = far.masked_fill(~positive, -torch.inf).argmax(dim=1, keepdim=True)
        stranger = near.masked_fill(alike, torch.inf).argmin(dim=1, keepdim=True)
        missing = (self.margin + distance.gather(1, friend) - distance.gather(1, stranger)).clamp(min=0)
        valid = (positive.any(dim=1) & ~alike.all(dim=1))[:, None]
        return (missing * valid).sum() / valid.sum().clamp(min=1)


@card(
    "cosine_pairs",
    seams=("loss",),
    tags=("index_only",),
    conflicts={"soft_targets": NEEDS_INDICES, "multi_input": ONE_HEAD},
    when="Images are to be found by likeness, with batches drawn as usual.",
    beware="With many classes and small batches few pairs are alike. Validation loss is cross-entropy.",
    source="Chopra et al. 2005, CVPR",
)
class CosinePairs(Loss):
    """Features of one class in one direction, those of two classes at least at an angle; beside cross-entropy."""

    margin: float = knob(0.0, low=-1, high=1, help="the cosine that two classes may have")
    ce_weight: float = knob(
        1.0, above=0, high=10, help="weight of the cross-entropy, without which the head would learn nothing"
    )

    def build(self, task: Task) -> Criterion:
        """Cross-entropy, mean over the batch."""
        from torch.nn import functional

        return functional.cross_entropy

    def plug(self, parts: Parts) -> OnFeatures:
        """Listen to the features."""
        return OnFeatures(parts.model, self.ce_weight, self.term)

    def term(self, unit: Tensor, target: Tensor) -> Tensor:
        """All pairs of the batch; those of one class and those of two weigh one half each."""
        import torch

        cosine = unit @ unit.T
        alike = target[:, None] == target[None]
        pair = torch.ones_like(alike).triu(diagonal=1)

        def mean(values: Tensor, which: Tensor) -> Tensor:
            return (values * which).sum() / which.sum().clamp(min=1)

        return (mean(1 - cosine, pair & alike) + mean((cosine - self.margin).clamp(min=0), pair & ~alike)) / 2
