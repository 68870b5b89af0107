"""Parts of the image that are wiped out, after standardising: 0 is the mean colour there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Batch, Moment
from cockpit.tricks._sent import chosen, sent

if TYPE_CHECKING:
    from torch import Tensor

AREA_MIN = 0.02
RATIO_MAX = 3.3
"""Smallest area and longest shape of a random rectangle, those of the paper."""
TWICE = "information is removed twice; if both are frequent, lower p here or prob there"


def inside(start: Tensor, length: Tensor, side: int) -> Tensor:
    """bool (B, side): whether a pixel lies in the `length` pixels from `start` on, both (B,)."""
    import torch

    pixel = torch.arange(side)
    return (pixel >= start[:, None]) & (pixel < (start + length)[:, None])


def rectangles(rows: Tensor, columns: Tensor, x: Tensor) -> Tensor:
    """rows (B, H) and columns (B, W) -> bool (B, 1, H, W) on the device of x."""
    return sent(rows, x.device)[:, None, :, None] & sent(columns, x.device)[:, None, None, :]


@card(
    "random_erasing",
    family="augmentation",
    seams=("batch",),
    stage="erase",
    live=True,
    when="Objects may be partly hidden; long trainings of large networks. DeiT takes 0.25, Fashion-MNIST 0.5.",
    beware="On digits a rectangle may remove the stroke that makes the class.",
    cautions={"cutmix": TWICE, "mixup_or_cutmix": TWICE},
    source="Zhong et al. 2020, arXiv 1708.04896",
)
class RandomErasing(Toggle):
    """Overwrite a random rectangle of some images."""

    p: float = knob(0.25, low=0, high=1, help="probability that an image is touched")
    area_max: float = knob(0.33, above=0, below=1, help="largest share of the image that is overwritten; the smallest is 0.02")
    fill: Literal["const", "rand", "pixel"] = knob(
        "pixel", help="the mean colour, one random colour, or a random colour for each pixel"
    )

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """x: standardised (B, C, H, W), with a rectangle of its own in each image that is touched."""
        import torch

        stream, (size, channels, height, width) = at.stream("random_erasing"), batch.x.shape
        touched = (torch.rand(size, generator=stream) < self.p).nonzero().flatten()
        draws = torch.rand(4, size, generator=stream)[:, touched]
        least = min(AREA_MIN, self.area_max)
        area = (least + (self.area_max - least) * draws[0]) * height * width
        shape = torch.exp((2 * draws[1] - 1) * math.log(RATIO_MAX))
        tall = (area * shape).sqrt().round().clamp(1, height)
        wide = (area / shape).sqrt().round().clamp(1, width)
        rows = inside((draws[2] * (height - tall + 1)).floor(), tall, height)
        columns = inside((draws[3] * (width - wide + 1)).floor(), wide, width)
        places, hole = sent(touched, batch.x.device), rectangles(rows, columns, batch.x)
        if self.fill == "const":
            return batch._replace(x=batch.x.index_copy(0, places, batch.x[places] * ~hole))
        spread = (channels, 1, 1) if self.fill == "rand" else (channels, height, width)
        noise = sent(torch.randn(len(touched), *spread, generator=stream), batch.x.device)
        return batch._replace(x=batch.x.index_copy(0, places, chosen(hole, noise, batch.x[places])))


@card(
    "cutout",
    family="augmentation",
    seams=("batch",),
    stage="erase",
    live=True,
    when="Small photographs; the habit on CIFAR is 8 to 16 pixels.",
    beware="A square as large as the object removes the class with it: keep to half of the side on digits.",
    cautions={"cutmix": TWICE, "mixup_or_cutmix": TWICE},
    source="DeVries & Taylor 2017, arXiv 1708.04552",
)
class Cutout(Toggle):
    """Overwrite one square of each image with the mean colour.

    Its centre may be any pixel, and what reaches over the border is cut off, so that some squares are smaller.
    """

    size: int = knob(8, low=1, high=512, help="side of the square in pixels")
    p: float = knob(1.0, low=0, high=1, help="probability that an image is touched")

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """x: standardised (B, C, H, W), with a square of its own in each image."""
        import torch

        stream, (size, _, height, width) = at.stream("cutout"), batch.x.shape
        down = torch.randint(height, (size,), generator=stream) - self.size // 2
        across = torch.randint(width, (size,), generator=stream) - self.size // 2
        touched = torch.rand(size, 1, generator=stream) < self.p
        side = torch.full((size,), self.size)
        hole = rectangles(inside(down, side, height) & touched, inside(across, side, width), batch.x)
        return batch._replace(x=batch.x * ~hole)
