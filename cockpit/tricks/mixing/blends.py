"""Mixup and cutmix: train on blends of two images and of their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Batch, Moment
from cockpit.tricks.losses.targets import NEEDS_INDICES
from cockpit.tricks.mixing._mix import ONE_MIX, Per, blend, boxes, draw, paste

if TYPE_CHECKING:
    import torch

CLEAN = "Accuracy on mixed images means nothing: read the clean probe."


def over(off_epoch: int, at: Moment) -> bool:
    """Whether the epochs that mix are over."""
    return 0 < off_epoch <= at.clock.epoch


def mixup(batch: Batch, at: Moment, alpha: float, prob: float, per: Per, stream: torch.Generator) -> Batch:
    """The batch with its images and labels blended; the same batch where all are spared."""
    drawn = draw(len(batch.x), alpha, prob, per, stream)
    return blend(batch, drawn.partner, drawn.keep, at.task.classes) if bool((drawn.keep < 1).any()) else batch


def cutmix(batch: Batch, at: Moment, alpha: float, prob: float, per: Per, stream: torch.Generator) -> Batch:
    """The batch with boxes pasted and labels by area; the same batch where all are spared."""
    drawn = draw(len(batch.x), alpha, prob, per, stream)
    if not bool((drawn.keep < 1).any()):
        return batch
    height, width = batch.x.shape[2:]
    return paste(batch, drawn.partner, boxes(1 - drawn.keep, drawn.unit, height, width, stream), at.task.classes)


@card(
    "mixup",
    family="mixing",
    seams=("batch",),
    stage="mix",
    live=True,
    tags=("soft_targets", "mixes"),
    conflicts={"mixes": ONE_MIX, "index_only": NEEDS_INDICES},
    when="The network is large for its data, or too sure of itself.",
    beware=f"{CLEAN} Long runs gain, short ones lose a little; on digits no gain is reported.",
    source="Zhang et al. 2018, arXiv 1710.09412",
)
class Mixup(Toggle):
    """Blend each image with another, and the two labels by the same weight."""

    alpha: float = knob(0.2, above=0, high=4, help="both parameters of the Beta distribution of the weight; 1 is uniform")
    prob: float = knob(1.0, low=0, high=1, help="share of the batches, pairs or images that are mixed")
    per: Per = knob("batch", help="what shares one weight: the whole batch, two images that are mixed with each other, nothing")
    off_epoch: int = knob(0, low=0, high=10_000, help="epoch from which images stay unmixed; 0 mixes to the end")

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """x: (B, C, H, W) -> blended; y -> float (B, classes)."""
        return batch if over(self.off_epoch, at) else mixup(batch, at, self.alpha, self.prob, self.per, at.stream("mixup"))


@card(
    "cutmix",
    family="mixing",
    seams=("batch",),
    stage="mix",
    live=True,
    tags=("soft_targets", "mixes"),
    conflicts={"mixes": ONE_MIX, "index_only": NEEDS_INDICES},
    when="Photographs, long runs; stronger than mixup where the whole image is the object.",
    beware=f"{CLEAN} On centred digits the box may hold nothing but background, and the label is wrong.",
    source="Yun et al. 2019, arXiv 1905.04899",
)
class Cutmix(Toggle):
    """Paste a box of another image into each, and share the label by area, that of the box as the border clips it."""

    alpha: float = knob(1.0, above=0, high=4, help="both parameters of the Beta distribution of the area; 1 is uniform")
    prob: float = knob(1.0, low=0, high=1, help="share of the batches, pairs or images that are mixed")
    per: Per = knob("batch", help="what shares one box: the whole batch, two images that are mixed with each other, nothing")
    off_epoch: int = knob(0, low=0, high=10_000, help="epoch from which images stay unmixed; 0 mixes to the end")

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """x: (B, C, H, W) -> with boxes; y -> float (B, classes)."""
        return batch if over(self.off_epoch, at) else cutmix(batch, at, self.alpha, self.prob, self.per, at.stream("cutmix"))


@card(
    "mixup_or_cutmix",
    family="mixing",
    seams=("batch",),
    stage="mix",
    live=True,
    tags=("soft_targets", "mixes"),
    conflicts={"mixes": ONE_MIX, "index_only": NEEDS_INDICES},
    when="Long runs after the recipes of DeiT and A1 to A3, which give a row to each and mean this.",
    beware=f"{CLEAN} Never both on one image.",
    source="Touvron et al. 2021, arXiv 2012.12877",
)
class MixupOrCutmix(Toggle):
    """Choose mixup or cutmix for each batch."""

    switch: float = knob(0.5, low=0, high=1, help="share of the mixed batches that get cutmix")
    mixup_alpha: float = knob(0.8, above=0, high=4, help="parameter of mixup's Beta distribution")
    cutmix_alpha: float = knob(1.0, above=0, high=4, help="parameter of cutmix's Beta distribution")
    prob: float = knob(1.0, low=0, high=1, help="share of the batches that are mixed")

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """x: (B, C, H, W) -> mixed one way or the other; y -> float (B, classes)."""
        import torch

        stream = at.stream("mixup_or_cutmix")
        if bool(torch.rand((), generator=stream) < self.switch):
            return cutmix(batch, at, self.cutmix_alpha, self.prob, "batch", stream)
        return mixup(batch, at, self.mixup_alpha, self.prob, "batch", stream)
