"""Labels drawn at random: a network that is large enough learns them all the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Parts

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Relabelled:
    """What the training split's labels become."""

    labels: Tensor

    def dataset(self, images: Any) -> Any:
        """The same images under these labels."""
        return replace(images, labels=self.labels)


@card(
    "random_labels",
    family="data",
    seams=("dataset",),
    conflicts={"early_stopping": "validation keeps its true labels and would end the run before anything is memorised"},
    cautions={"score": "validation keeps its true labels; what was memorised shows in the training accuracy alone"},
    when="To see that a network can fit anything: accuracy on the training images says nothing of what it understood.",
    beware="A demonstration. At fraction 1 validation stays at chance for good.",
    source="Zhang et al. 2017, arXiv 1611.03530",
)
class RandomLabels(Toggle):
    """Replace training labels by random ones, once for the whole run."""

    fraction: float = knob(1.0, low=0, high=1, help="chance of each training image to get a random label, which may be its own")

    def plug(self, parts: Parts) -> Relabelled:
        """Draw the images and their labels, the same at every start of this run."""
        import torch

        draws, labels = parts.stream("random_labels"), parts.train.labels
        chosen = torch.rand(len(labels), generator=draws) < self.fraction
        drawn = torch.randint(parts.task.classes, (len(labels),), generator=draws)
        return Relabelled(torch.where(chosen.to(labels.device), drawn.to(labels.device), labels))
