"""Geometric augmentation on the device, with one draw for each image (library transforms draw once for the batch)."""

from __future__ import annotations

from typing import Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Batch, Moment


@card(
    "random_flip",
    family="augmentation",
    seams=("batch",),
    stage="geometry",
    live=True,
    when="A mirrored image is still the same class: photographs, clothes.",
    beware="Wrong for digits and letters, where the mirror image is another sign or none.",
    conflicts={"no_mirror": "a mirrored image would be of another class or of none; data.mirror: on says otherwise"},
    source="Krizhevsky et al. 2012",
)
class RandomFlip(Toggle):
    """Mirror each image with some probability."""

    p: float = knob(0.5, low=0, high=1, help="probability that an image is mirrored")
    axis: Literal["horizontal", "vertical"] = knob("horizontal", help="left-right or upside-down")

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """x: (B, C, H, W), mirrored image by image."""
        import torch

        chosen = torch.rand(len(batch.x), generator=at.stream("random_flip")) < self.p
        mask = chosen.view(-1, 1, 1, 1).to(batch.x.device, non_blocking=True)
        return batch._replace(x=torch.where(mask, batch.x.flip(3 if self.axis == "horizontal" else 2), batch.x))


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

    pad: int = knob(4, low=1, high=16, help="pixels added on each side")
    mode: Literal["reflect", "zeros"] = knob("reflect", help="what the border is filled with")

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """x: (B, C, H, W), shifted image by image by up to `pad` pixels."""
        import torch
        from torch.nn import functional

        size, _, height, width = batch.x.shape
        pad = min(self.pad, height - 1, width - 1)
        padded = functional.pad(batch.x, (pad,) * 4, mode="reflect" if self.mode == "reflect" else "constant")
        shift = torch.randint(0, 2 * pad + 1, (2, size, 1), generator=at.stream("random_crop")).to(batch.x.device)
        rows = (shift[0] + torch.arange(height, device=batch.x.device))[:, None, :, None]
        columns = (shift[1] + torch.arange(width, device=batch.x.device))[:, None, None, :]
        image = torch.arange(size, device=batch.x.device).view(-1, 1, 1, 1)
        channel = torch.arange(padded.shape[1], device=batch.x.device).view(1, -1, 1, 1)
        return batch._replace(x=padded[image, channel, rows, columns])
