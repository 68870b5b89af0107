"""Batch norm statistics taken anew before each evaluation."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Parts

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cockpit.travel import TrainImages

IMAGES = 256
"""In a batch: enough that its variance is near that of the whole set."""


class Refresh:
    """The batches that the statistics are taken from, always the same ones."""

    def __init__(self, train: TrainImages, batches: tuple[Tensor, ...]) -> None:
        self._train = train
        self._batches = batches

    def evaluate(self, model: nn.Module) -> nn.Module:
        """A copy with the statistics of clean training images; what is in training stays as it is."""
        from cockpit.nets.statistics import refresh_batch_norm

        scored = copy.deepcopy(model)
        refresh_batch_norm(scored, (self._train.standardise(self._train.take(ids)).x for ids in self._batches))
        return scored


@card(
    "recalibrate_bn",
    family="norm",
    seams=("evaluate",),
    stage="refresh",
    live=True,
    when="The weights that are scored are an average, or training images are mixed, cropped or attacked.",
    beware="Each evaluation takes so many forward passes more.",
    source="Izmailov et al. 2018, arXiv 1803.05407",
)
class RecalibrateBn(Toggle):
    """Score with batch norm statistics taken anew from clean training images.

    They are the plain mean over batches of 256 images, without augmentation or mixing, in an order fixed for the run.
    """

    batches: int = knob(100, low=1, high=10_000, help="batches of 256 training images; fewer where the set has fewer")

    def plug(self, parts: Parts) -> Refresh:
        """Choose the images. ValueError where there is no batch norm."""
        import torch
        from torch import nn

        if not any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in parts.model.modules()):
            raise ValueError("recalibrate_bn: this network has no batch norm, so there is nothing to take anew; switch it off")
        count = len(parts.train)
        order = torch.randperm(count, generator=parts.stream("recalibrate_bn")).to(parts.train.labels.device)
        whole = order[: max(count // IMAGES * IMAGES, min(count, IMAGES))]
        return Refresh(parts.train, whole.split(IMAGES)[: self.batches])
