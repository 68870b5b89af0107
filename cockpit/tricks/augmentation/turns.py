"""Rotation and affine maps: one matrix and one resampling for each image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Batch, Moment
from cockpit.tricks._sent import sent

if TYPE_CHECKING:
    from torch import Tensor


def motion(turn: Tensor, right: Tensor, down: Tensor, scale: Tensor, shear: Tensor, size: tuple[int, int]) -> Tensor:
    """The maps (B, 2, 3), as `affine_grid` wants them, of images (H, W) that turn clockwise about their centre by `turn`
    degrees, slant by `shear` degrees, grow by the factor `scale`, and move `right` and `down` by so many pixels.

    All are (B,). Sampling goes from the result to the source, so these are the inverses: with K the slant, M = s R K has
    the inverse (1/s) K^-1 R^-1. `affine_grid` measures each side from -1 to 1.
    """
    import torch

    height, width = size
    sin, cos, tan = turn.deg2rad().sin(), turn.deg2rad().cos(), shear.deg2rad().tan()
    across = torch.stack([cos - tan * sin, sin + tan * cos]) / scale
    along = torch.stack([-sin, cos]) / scale
    return torch.stack(
        [
            torch.stack([across[0], across[1] * height / width, -(across[0] * right + across[1] * down) * 2 / width], dim=1),
            torch.stack([along[0] * width / height, along[1], -(along[0] * right + along[1] * down) * 2 / height], dim=1),
        ],
        dim=1,
    )


def warp(x: Tensor, maps: Tensor) -> Tensor:
    """x (B, C, H, W) moved by maps (B, 2, 3), with bilinear interpolation; what comes in from outside is 0."""
    from torch.nn import functional

    grid = functional.affine_grid(sent(maps, x.device), list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


FAR = "keep it to 15 degrees: further round, one digit or letter turns into another (6 and 9, 1 and 7)"


@card(
    "rotation",
    family="augmentation",
    seams=("batch",),
    stage="geometry",
    live=True,
    when="Objects that may be tilted: handwriting by a little, photographs from above by any angle.",
    beware="The corners fill with 0. With affine the images are resampled twice, and each time blurs: affine turns too.",
    cautions={"no_mirror": FAR, "affine": "affine turns too, and each of the two resamples; one is enough"},
    source="Simard et al. 2003, ICDAR",
)
class Rotation(Toggle):
    """Turn each image by a random angle about its centre."""

    degrees: float = knob(15.0, low=0, high=180, help="largest angle, to either side")

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """x: (B, C, H, W), turned image by image."""
        import torch

        turn = (2 * torch.rand(len(batch.x), generator=at.stream("rotation")) - 1) * self.degrees
        still, same = torch.zeros_like(turn), torch.ones_like(turn)
        height, width = batch.x.shape[2:]
        return batch._replace(x=warp(batch.x, motion(turn, still, still, same, still, (height, width))))


@card(
    "affine",
    family="augmentation",
    seams=("batch",),
    stage="geometry",
    live=True,
    when="Handwriting, and small images of objects that may be tilted, moved, larger or smaller.",
    beware="What comes in from outside is 0. Turn off random_crop and rotation beside it: it moves and turns too.",
    cautions={"no_mirror": FAR},
    source="Simard et al. 2003, ICDAR",
)
class Affine(Toggle):
    """Turn, move, resize and slant each image by random amounts, in one resampling."""

    degrees: float = knob(10.0, low=0, high=180, help="largest angle, to either side")
    translate: float = knob(0.1, low=0, high=0.5, help="farthest move, as a share of the side")
    scale: float = knob(0.1, low=0, high=0.5, help="largest change of size: 0.1 is from 0.9 to 1.1 times")
    shear: float = knob(5.0, low=0, high=45, help="largest slant in degrees, to either side")

    def batch(self, batch: Batch, at: Moment) -> Batch:
        """x: (B, C, H, W), moved image by image."""
        import torch

        height, width = batch.x.shape[2:]
        turn, right, down, grow, slant = 2 * torch.rand(5, len(batch.x), generator=at.stream("affine")) - 1
        maps = motion(
            turn * self.degrees,
            right * self.translate * width,
            down * self.translate * height,
            1 + grow * self.scale,
            slant * self.shear,
            (height, width),
        )
        return batch._replace(x=warp(batch.x, maps))
