"""Norms whose statistics are taken over several images. What other cards say of `batch` holds for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cockpit.cards import card, knob
from cockpit.families import Norm

if TYPE_CHECKING:
    from torch import nn


@card(
    "batch",
    when="First choice for convolutional networks.",
    beware="Training and evaluation differ. Small batches are noisy, and a batch of one image cannot be trained on.",
    source="Ioffe & Szegedy 2015, arXiv 1502.03167",
)
class BatchNorm(Norm):
    """Standardise each channel over the batch, then scale and shift it; running statistics are used in evaluation."""

    momentum: float = knob(0.1, above=0, high=1, help="weight of the new batch in the running statistics; short runs want 0.4")
    eps: float = knob(1e-5, above=0, high=1, help="added to the variance")

    def build(self, channels: int, *, spatial: bool) -> nn.Module:
        """nn.BatchNorm2d if spatial, else nn.BatchNorm1d."""
        from torch import nn

        layer = nn.BatchNorm2d if spatial else nn.BatchNorm1d
        return layer(channels, eps=self.eps, momentum=self.momentum)


@card(
    "ghost_batch",
    tags=("batch",),
    when="Large batches that generalise worse than small ones: the noise of small batches comes back.",
    beware="A batch that ghost does not divide ends in a smaller group, and in a transformer tokens count as images. Slower "
    "than batch: one pass for each group.",
    source="Hoffer et al. 2017, arXiv 1705.08741",
)
class GhostBatchNorm(Norm):
    """Batch norm over small groups of the batch, each with its own mean and variance."""

    ghost: int = knob(32, low=2, high=512, help="images in a group")
    momentum: float = knob(0.1, above=0, high=1, help="weight of the new batch in the running statistics")
    eps: float = knob(1e-5, above=0, high=1, help="added to the variance")

    def build(self, channels: int, *, spatial: bool) -> nn.Module:
        """cockpit.nets.ghost.GhostBatchNorm, for either shape."""
        from cockpit.nets import ghost

        return ghost.GhostBatchNorm(channels, self.ghost, eps=self.eps, momentum=self.momentum)


@card(
    "split_batch",
    tags=("batch",),
    when="Two kinds of images in one batch, stacked in order: the first part alone shapes what evaluation uses.",
    beware="No trick stacks its batches so yet: without that, part of each batch trains norm layers that are never scored.",
    source="Xie et al. 2020, arXiv 1911.09665",
)
class SplitBatchNorm(Norm):
    """A batch norm of its own for each part of the batch; evaluation uses that of the first part."""

    splits: int = knob(2, low=2, high=8, help="equal parts of the batch; one that they do not divide is normalised whole")

    def build(self, channels: int, *, spatial: bool) -> nn.Module:
        """For maps only, ValueError otherwise."""
        if not spatial:
            raise ValueError("norm: split_batch is for maps, and this network has vectors to normalise; take batch")
        from cockpit.nets import split

        return split.SplitBatchNorm(channels, num_splits=self.splits)


@card(
    "sync_batch",
    tags=("batch",),
    when="A recipe from training on several processes is to be kept as it is.",
    beware="Of one process it does what batch does. Among several, batch does what it does: see docs/architecture.md.",
    source="PyTorch, torch.nn.SyncBatchNorm",
)
class SyncBatchNorm(Norm):
    """Batch norm over the batches of all processes."""

    momentum: float = knob(0.1, above=0, high=1, help="weight of the new batch in the running statistics")
    eps: float = knob(1e-5, above=0, high=1, help="added to the variance")

    def build(self, channels: int, *, spatial: bool) -> nn.Module:
        """nn.SyncBatchNorm, for either shape."""
        from torch import nn

        return nn.SyncBatchNorm(channels, eps=self.eps, momentum=self.momentum)
