"""What the mixing tricks share: who is mixed with whom, by how much, in which box. All is drawn on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from cockpit.travel import Batch
from cockpit.tricks._sent import chosen, sent

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Per = Literal["batch", "pair", "sample"]
ONE_MIX = "one mix for a batch"


class Draw(NamedTuple):
    """Who is mixed with whom, and by what share of each image stays."""

    partner: Tensor
    """int64 (B,): the image that each is mixed with."""
    keep: Tensor
    """float64 (B,): 1 where an image is left alone."""
    unit: Tensor
    """int64 (B,): images with the same number share their draws."""


def draw(size: int, alpha: float, prob: float, per: Per, stream: torch.Generator) -> Draw:
    """A partner for each of `size` images; for each batch, pair or image a share from Beta(alpha, alpha), 1 if it is spared."""
    import torch

    partner, unit = paired(size, stream) if per == "pair" else (cycle(size, stream), torch.arange(size))
    if per == "batch":
        unit = torch.zeros_like(unit)
    units = int(unit.max()) + 1
    mixed = torch.rand(units, generator=stream) < prob
    return Draw(partner, torch.where(mixed, beta(alpha, units, stream), 1.0)[unit], unit)


def beta(alpha: float, count: int, stream: torch.Generator) -> Tensor:
    """float64 (count,) from Beta(alpha, alpha); torch's own sampler takes no generator."""
    import numpy as np
    import torch

    seed = int(torch.randint(2**62, (), generator=stream))
    return torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, count))


def cycle(size: int, stream: torch.Generator) -> Tensor:
    """int64 (size,): everyone's partner along one random circle, so that nobody is left with itself unless alone."""
    import torch

    order = torch.randperm(size, generator=stream)
    return torch.empty_like(order).index_copy_(0, order, order.roll(-1))


def paired(size: int, stream: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random couples: each one's partner and the number of its couple, int64 (size,). An odd one out has only itself."""
    import torch

    order, place = torch.randperm(size, generator=stream), torch.arange(size)
    mate = place ^ 1
    mate = torch.where(mate < size, mate, place)
    return (
        torch.empty_like(order).index_copy_(0, order, order[mate]),
        torch.empty_like(order).index_copy_(0, order, place // 2),
    )


def boxes(share: Tensor, unit: Tensor, height: int, width: int, stream: torch.Generator) -> Tensor:
    """int64 (4, B): top, bottom, left, right of boxes of about this share (B,) of the area, clipped at the border.

    The centre lies anywhere, and is one for all images of a unit. The sides are rounded down to even numbers.
    """
    import torch

    units, half = int(unit.max()) + 1, share.sqrt() / 2
    row, column = (torch.randint(side, (units,), generator=stream)[unit] for side in (height, width))
    tall, wide = (half * height).long(), (half * width).long()
    top, left = (row - tall).clamp(min=0), (column - wide).clamp(min=0)
    return torch.stack([top, (row + tall).clamp(max=height), left, (column + wide).clamp(max=width)])


def area(bounds: Tensor) -> Tensor:
    """int64 (B,): pixels in each box."""
    top, bottom, left, right = bounds
    pixels: Tensor = (bottom - top) * (right - left)
    return pixels


def inside(bounds: Tensor, height: int, width: int, device: torch.device) -> Tensor:
    """bool (B, 1, height, width): where the boxes are."""
    import torch

    top, bottom, left, right = sent(bounds, device)[:, :, None, None, None]
    rows = torch.arange(height, device=device)[:, None]
    columns = torch.arange(width, device=device)
    inner: Tensor = ((rows >= top) & (rows < bottom)) & ((columns >= left) & (columns < right))
    return inner


def blend(batch: Batch, partner: Tensor, keep: Tensor, classes: int | None) -> Batch:
    """Each image times its share plus its partner times the rest, and the labels alike unless `classes` is None."""
    import torch

    partner = sent(partner, batch.x.device)
    share = sent(keep, batch.x.device, batch.x.dtype)
    mixed = batch._replace(x=torch.lerp(batch.x[partner], batch.x, share.view(-1, 1, 1, 1)))
    return mixed if classes is None else mixed._replace(y=_labels(batch.y, partner, share, classes))


def paste(batch: Batch, partner: Tensor, bounds: Tensor, classes: int | None) -> Batch:
    """In each image a box of its partner; the labels by the area that is left unless `classes` is None."""
    height, width = batch.x.shape[2:]
    partner = sent(partner, batch.x.device)
    box = inside(bounds, height, width, batch.x.device)
    mixed = batch._replace(x=chosen(box, batch.x[partner], batch.x))
    if classes is None:
        return mixed
    keep = 1 - area(bounds).double() / (height * width)
    share = sent(keep, batch.x.device, batch.x.dtype)
    return mixed._replace(y=_labels(batch.y, partner, share, classes))


def _labels(y: Tensor, partner: Tensor, share: Tensor, classes: int) -> Tensor:
    import torch
    from torch.nn import functional

    rows = y if y.is_floating_point() else functional.one_hot(y, classes).float()
    return torch.lerp(rows[partner], rows, share.view(-1, 1))
