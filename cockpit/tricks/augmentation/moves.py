"""Mirroring and shifting, without resampling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Batch, Moment, Parts
from cockpit.tricks._sent import chosen, sent

if TYPE_CHECKING:
    from torch import Tensor

Axis = Literal["horizontal", "vertical"]


def mirrored(x: Tensor, turned: Tensor, axis: Axis) -> Tensor:
    """x (B, C, H, W) with the images of `turned`, bool (B,), mirrored."""
    return chosen(sent(turned, x.device).view(-1, 1, 1, 1), x.flip(3 if axis == "horizontal" else 2), x)


class Alternating:
    """Each image shows the one side in even epochs and the other in odd ones."""

    def __init__(self, axis: Axis, starts_mirrored: Tensor) -> None:
        self._axis = axis
        self._starts_mirrored = starts_mirrored

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """x: (B, C, H, W), mirrored by the place of each image and the epoch."""
        odd = at.clock.step // max(1, at.clock.steps_per_epoch) % 2 == 1
        return batch._replace(x=mirrored(batch.x, self._starts_mirrored[batch.ids] != odd, self._axis))


@card(
    "random_flip",
    family="augmentation",
    seams=("batch",),
    stage="geometry",
    live=True,
    when="A mirrored image is still the same class: photographs, clothes.",
    beware="Wrong for digits and letters, where the mirror image is another sign or none.",
    conflicts={"no_mirror": "a mirrored image would be of another class or of none; data.mirror: on says otherwise"},
    source="Krizhevsky et al. 2012; alternating: Jordan 2024, arXiv 2404.00498",
)
class RandomFlip(Toggle):
    """Mirror each image with some probability, or in every other epoch.

    Alternating mirrors half of the images in the first epoch and turns each over in every later one, so that two epochs
    in a row always show both sides.
    """

    p: float = knob(0.5, low=0, high=1, help="probability that an image is mirrored; alternating has none")
    axis: Axis = knob("horizontal", help="left-right or upside-down")
    mode: Literal["random", "alternating"] = knob("random", help="a fresh draw for each image, or the other side each epoch")

    def plug(self, parts: Parts) -> RandomFlip | Alternating:
        """Alternating needs to know on which side each image starts."""
        import torch

        if self.mode == "random":
            return self
        starts = torch.rand(len(parts.train), generator=parts.stream("random_flip")) < 0.5
        return Alternating(self.axis, starts.to(parts.train.labels.device))

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """x: (B, C, H, W), mirrored image by image."""
        import torch

        turned = torch.rand(len(batch.x), generator=at.stream("random_flip")) < self.p
        return batch._replace(x=mirrored(batch.x, turned, self.axis))


@card(
    "random_crop",
    family="augmentation",
    seams=("batch",),
    stage="geometry",
    live=True,
    when="Small images of objects that may stand anywhere; the habit on CIFAR is 4 pixels, on 28x28 images 2.",
    beware="Reflecting the border paints strokes twice on digits: use zeros there.",
    source="Krizhevsky et al. 2012; He et al. 2016, arXiv 1512.03385",
)
class RandomCrop(Toggle):
    """Pad the border, then cut each image back to its size at a random place."""

    pad: int = knob(4, low=0, high=16, help="pixels added on each side")
    mode: Literal["reflect", "zeros"] = knob("reflect", help="what the border is filled with")

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """x: (B, C, H, W), shifted image by image by up to `pad` pixels."""
        import torch
        from torch.nn import functional

        size, _, height, width = batch.x.shape
        pad = min(self.pad, height - 1, width - 1)
        padded = functional.pad(batch.x, (pad,) * 4, mode="reflect" if self.mode == "reflect" else "constant")
        shift = torch.randint(0, 2 * pad + 1, (2, size), generator=at.stream("random_crop"))
        row, column = sent(shift, batch.x.device)
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view: (B, C, row, column, height, width)
        return batch._replace(x=windows[torch.arange(size, device=batch.x.device), :, row, column])
