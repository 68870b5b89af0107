"""The size of the images in training and in evaluation, where it is not that of the data."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Batch, Moment, Parts
from cockpit.tricks.tta import shown

if TYPE_CHECKING:
    from torch import Tensor, nn


def sides(height: int, width: int, size: int) -> tuple[int, int]:
    """Height and width of an image whose shorter side becomes `size`; its shape stays."""
    short = min(height, width)
    return round(height * size / short), round(width * size / short)


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, H, W) -> (B, C, *size), bilinear, smoothed where it shrinks."""
    from torch.nn import functional

    if x.shape[2:] == size:
        return x
    return functional.interpolate(x, size=size, mode="bilinear", antialias=True)


def try_out(parts: Parts, *sizes: int) -> None:
    """Show the network an image of each size, given by its shorter side. ValueError where it does not take it."""
    import torch

    task, twin = parts.task, copy.deepcopy(parts.model).eval()
    for size in sizes:
        height, width = sides(task.height, task.width, size)
        image = torch.zeros(1, task.channels, height, width, device=parts.train.labels.device)
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                twin(image)
        except Exception as error:  # each network has its own way to say so
            raise ValueError(
                f"this network cannot take images of {height}x{width}: it is built for {task.height}x{task.width}; "
                "small_cnn and resnet take any size"
            ) from error


@card(
    "train_resolution",
    family="augmentation",
    seams=("batch",),
    stage="geometry",
    live=True,
    when="To save time: small images first, full ones at the end; or train small and test large.",
    beware="Evaluation keeps the size of the data; a network that flattens its maps or has fixed positions is refused.",
    source="Howard 2018, fast.ai; Touvron et al. 2019, arXiv 1906.06423",
)
class ResolutionInTraining(Toggle):
    """Resize the training images, growing from a small size to the full one."""

    size: int | None = knob(None, low=8, high=512, help="shorter side of the full size in pixels; none: that of the data")
    start: float = knob(0.75, above=0, high=1, help="share of the full size in the first step; 1 is the full size throughout")
    until: float = knob(0.8, above=0, high=1, help="share of the run after which the images have their full size")

    def plug(self, parts: Parts) -> ResolutionInTraining:
        """ValueError where the network does not take the smallest or the full size."""
        full = self.size or min(parts.task.height, parts.task.width)
        try_out(parts, max(1, round(self.start * full)), full)
        return self

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """x: (B, C, H, W) -> (B, C, H', W')."""
        height, width = batch.x.shape[2:]
        full = self.size or min(at.task.height, at.task.width)
        done = min(1.0, at.clock.step / (self.until * max(1, at.clock.total)))
        now = max(1, round((self.start + (1 - self.start) * done) * full))
        return batch._replace(x=resize(batch.x, sides(height, width, now)))


class Resized:
    """The sizes of one kind of images."""

    def __init__(self, whole: tuple[int, int], part: tuple[int, int]) -> None:
        self._whole = whole
        self._part = part

    def evaluate(self, model: nn.Module) -> nn.Module:
        """A network that resizes what it sees and looks at the middle of it."""
        return shown(model, self._look)

    def _look(self, net: nn.Module, x: Tensor) -> Tensor:
        top, left = (round((whole - part) / 2) for whole, part in zip(self._whole, self._part, strict=True))
        middle = resize(x, self._whole)[:, :, top : top + self._part[0], left : left + self._part[1]]
        logits: Tensor = net(middle.contiguous())
        return logits


@card(
    "test_resolution",
    family="augmentation",
    seams=("evaluate",),
    stage="views",
    live=True,
    when="Training saw enlarged objects (random_resized_crop): a slightly larger test size can gain.",
    beware="A choice, so make it on validation, one for all runs compared. Running statistics of batch norm belong to the old "
    "size; a network that flattens its maps or has fixed positions is refused.",
    source="Touvron et al. 2019, arXiv 1906.06423",
)
class ResolutionInEvaluation(Toggle):
    """Resize the images that are scored, and look at the middle of them.

    The image is resized so that the middle that is kept is `crop_ratio` of its side and has the asked size.
    """

    size: int | None = knob(None, low=8, high=512, help="shorter side that the network sees, in pixels; none: that of the data")
    crop_ratio: float = knob(1.0, low=0.5, high=1, help="share of the side that is kept; 1 keeps all, which small images need")

    def plug(self, parts: Parts) -> Resized:
        """ValueError where the network does not take this size."""
        height, width = parts.task.height, parts.task.width
        size = self.size or min(height, width)
        try_out(parts, size)
        return Resized(sides(height, width, round(size / self.crop_ratio)), sides(height, width, size))
