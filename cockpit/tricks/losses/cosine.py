"""A head that looks at angles only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cockpit.cards import card, knob
from cockpit.families import Loss
from cockpit.travel import Task
from cockpit.tricks.losses.targets import ONE_HEAD, one_hot

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cockpit.travel import Criterion


def cosine_head(linear: nn.Linear, scale: float) -> nn.Linear:
    """A head with the weights of a linear one and no bias: (B, features) -> scale * cosine to each class vector, (B, K)."""
    import torch
    from torch import nn
    from torch.nn import functional

    class CosineHead(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast(x.device.type, enabled=False):  # a scaled cosine has no bits to spare
                features = functional.normalize(x.to(self.weight.dtype), dim=-1)
                return scale * functional.linear(features, functional.normalize(self.weight, dim=1))

    head = CosineHead(linear.in_features, linear.out_features, bias=False, device="meta")  # draws no random numbers
    head.weight = linear.weight
    return head


@card(
    "cosine",
    seams=("model", "loss"),
    conflicts={"multi_input": ONE_HEAD, "prior_bias": "a head that looks at angles only has no bias"},
    when="Classes are to be told apart by direction, so that the length of a feature vector says nothing.",
    beware="Takes the place of the head, bias and all. A small scale cannot reach a low loss: with 10 classes, 1 ends at 1.38. "
    "A large one starts well above ln(classes).",
    source="Wang et al. 2018, arXiv 1801.09414",
)
class Cosine(Loss):
    """Cross-entropy of scaled cosines between the features and a vector for each class."""

    scale: float = knob(16.0, low=1, high=64, help="factor on the cosines")
    margin: float = knob(
        0.0, low=0, high=0.5, help="taken off the true class's cosine in training, so that it must win by more"
    )

    @property
    def traits(self) -> tuple[str, ...]:
        """A margin belongs to one true class."""
        return ("index_only",) if self.margin else ()

    def build(self, task: Task) -> Criterion:
        """Cross-entropy without the margin, mean over the batch."""
        from torch.nn import functional

        return functional.cross_entropy

    def model(self, model: nn.Module, task: Task) -> nn.Module:
        """The network with a cosine head, whose class vectors start as the rows of the old head."""
        from torch import nn

        from cockpit.nets.places import head_of

        place = head_of(model)
        assert isinstance(place.layer, nn.Linear)
        if not place.layer.weight.any(dim=1).all():
            raise ValueError("cosine: a class vector of zeros has no direction; take another model.init, such as he_normal")
        place.put(model, cosine_head(place.layer, self.scale))
        return model

    def loss(self, criterion: Criterion, task: Task) -> Criterion:
        """Take the margin off before the criterion sees the logits."""
        if not self.margin:
            return criterion

        def strict(logits: Tensor, target: Tensor) -> Tensor:
            return criterion(logits - self.scale * self.margin * one_hot(target, logits), target)

        return strict
