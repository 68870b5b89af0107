"""A random part of each image, enlarged to the training size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Batch, Moment, Parts
from cockpit.tricks._sent import sent
from cockpit.tricks.resolution import sides, try_out

if TYPE_CHECKING:
    from torch import Tensor


TRIES = 10
"""Areas and shapes that are drawn for each image, until one fits into it."""
SMALL = 64 * 64
"""Pixels up to which a whole batch is resampled by one product of matrices on the CPU too."""


def bilinear(distance: Tensor) -> Tensor:
    """The triangle: weight of a pixel by its distance, in pixels."""
    return (1 - distance.abs()).clamp(min=0)


def bicubic(distance: Tensor) -> Tensor:
    """The cubic convolution kernel with a = -1/2 (Keys 1981), as image libraries use it where they smooth."""
    d = distance.abs()
    near = (1.5 * d - 2.5) * d * d + 1
    far = ((-0.5 * d + 2.5) * d - 4) * d + 2
    return near.where(d < 1, far.where(d < 2, 0.0))


def resampling(start: Tensor, length: Tensor, source: int, target: int, cubic: bool) -> Tensor:
    """Matrices (B, target, source) that cut `length` pixels from `start` on out of a side and resize them to `target`.

    `start` and `length` are whole numbers, float (B,). Pixels outside the cut have no weight; where the side shrinks, the
    kernel widens (antialiasing).
    """
    import torch

    start, length = start.view(-1, 1, 1), length.view(-1, 1, 1)
    step = length / target
    wanted = start + (torch.arange(target, device=start.device).view(1, -1, 1) + 0.5) * step
    pixel = torch.arange(source, device=start.device) + 0.5
    kernel = (bicubic if cubic else bilinear)((pixel - wanted) / step.clamp(min=1))
    weights = kernel * ((pixel > start) & (pixel < start + length))
    return weights / weights.sum(2, keepdim=True)


def cut(x: Tensor, box: Tensor, size: tuple[int, int], cubic: bool) -> Tensor:
    """The parts `box` of x (B, C, H, W) resized to `size`; box (4, B): top, left, height, width in whole pixels."""
    if x.device.type == "cpu" and x.shape[2] * x.shape[3] > SMALL:
        return _one_by_one(x, box, size, cubic)
    top, left, height, width = sent(box, x.device)
    down = resampling(top, height, x.shape[2], size[0], cubic)[:, None]
    across = resampling(left, width, x.shape[3], size[1], cubic)
    narrow = (x.flatten(1, 2) @ across.transpose(1, 2)).unflatten(1, x.shape[1:3])
    made: Tensor = down @ narrow
    return made.clamp_(0, 1)


def _one_by_one(x: Tensor, box: Tensor, size: tuple[int, int], cubic: bool) -> Tensor:
    """The same by the library: on large images it takes a tenth of the arithmetic, on small ones its calls take longer."""
    import torch
    from torch.nn import functional

    mode, parts = "bicubic" if cubic else "bilinear", zip(x, box.T.int().tolist(), strict=True)
    made = [image[None, :, top : top + tall, left : left + wide] for image, (top, left, tall, wide) in parts]
    return torch.cat([functional.interpolate(one, size=size, mode=mode, antialias=True) for one in made]).clamp_(0, 1)


@card(
    "random_resized_crop",
    family="augmentation",
    seams=("batch",),
    stage="geometry",
    live=True,
    aliases=("rrc",),
    when="Photographs with objects of many sizes; the habit on ImageNet.",
    beware="0.08 is an ImageNet value: on 28 to 32 pixels it leaves 9, take 0.35 to 0.6. Objects look larger than in the test.",
    cautions={"train_resolution": "images are resized twice; give random_resized_crop a size of its own instead"},
    source="Szegedy et al. 2015, arXiv 1409.4842",
)
class RandomResizedCrop(Toggle):
    """Cut out a random area of random shape and resize it to the training size."""

    scale_min: float = knob(0.08, above=0, high=1, help="smallest share of the area that is cut out; the largest is all of it")
    ratio_max: float = knob(1.333, low=1, high=2, help="widest shape, as width over height; the narrowest is its inverse")
    interpolation: Literal["bilinear", "bicubic"] = knob("bilinear", help="how the part is resized")
    size: int | None = knob(None, low=8, high=512, help="shorter side of the result in pixels; none: that of the images")

    def plug(self, parts: Parts) -> RandomResizedCrop:
        """ValueError where the network does not take images of this size."""
        if self.size is not None:
            try_out(parts, self.size)
        return self

    def boxes(self, draws: Tensor, height: int, width: int) -> Tensor:
        """Uniform draws (2 + 2 TRIES, B), for the place and for areas and shapes -> (4, B): top, left, height, width.

        In whole pixels. Of the areas with their shapes the first counts that fits into the image; where none does, it is the
        largest box about the centre that no side makes too long. So the libraries do it, and large areas come more rarely.
        """
        import torch

        areas = (self.scale_min + (1 - self.scale_min) * draws[2::2]) * height * width
        shapes = torch.exp((2 * draws[3::2] - 1) * math.log(self.ratio_max))
        tall, wide = (areas / shapes).sqrt().round(), (areas * shapes).sqrt().round()
        fits = (tall >= 1) & (tall <= height) & (wide >= 1) & (wide <= width)
        first = fits.int().argmax(0, keepdim=True)
        tall, wide, fit = (each.gather(0, first)[0] for each in (tall, wide, fits))
        tall = tall.where(fit, round(min(height, width * self.ratio_max)))
        wide = wide.where(fit, round(min(width, height * self.ratio_max)))
        top = (draws[0] * (height - tall + 1)).floor().where(fit, ((height - tall) / 2).floor())
        left = (draws[1] * (width - wide + 1)).floor().where(fit, ((width - wide) / 2).floor())
        return torch.stack([top, left, tall, wide])

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """x: (B, C, H, W) -> (B, C, H', W'), a part of its own from each image."""
        import torch

        height, width = batch.x.shape[2:]
        size = sides(height, width, self.size) if self.size is not None else (height, width)
        draws = torch.rand(2 + 2 * TRIES, len(batch.x), generator=at.stream("random_resized_crop"))
        return batch._replace(x=cut(batch.x, self.boxes(draws, height, width), size, self.interpolation == "bicubic"))
