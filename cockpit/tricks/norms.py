"""Normalisation after a layer; a layer that is followed by a norm has no bias of its own."""

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
    "none",
    when="Small networks, or to see what a norm layer is worth.",
    beware="Deep networks then need a fitting initialisation, warm-up and often gradient clipping.",
    source="He et al. 2015, arXiv 1502.01852, which trains 30 layers so",
)
class NoNorm(Norm):
    """No normalisation."""

    def build(self, channels: int, *, spatial: bool) -> nn.Module:
        """nn.Identity."""
        from torch import nn

        return nn.Identity()


@card(
    "layer",
    when="Transformers, and batches too small for batch norm.",
    beware="In convolutional networks usually behind batch norm.",
    source="Ba et al. 2016, arXiv 1607.06450",
)
class LayerNorm(Norm):
    """Standardise all features of one sample together, then scale and shift each channel."""

    eps: float = knob(1e-6, above=0, high=1, help="added to the variance")

    def build(self, channels: int, *, spatial: bool) -> nn.Module:
        """nn.GroupNorm with one group if spatial, else nn.LayerNorm."""
        from torch import nn

        return nn.GroupNorm(1, channels, eps=self.eps) if spatial else nn.LayerNorm(channels, eps=self.eps)


@card(
    "group",
    when="Batches too small for batch norm, adversarial training, several forward passes in a step.",
    beware="The groups must divide the channels of every layer.",
    source="Wu & He 2018, arXiv 1803.08494",
)
class GroupNorm(Norm):
    """Standardise groups of channels within one sample, then scale and shift each channel."""

    groups: int = knob(8, low=1, high=64, help="groups of channels; must divide every width")
    eps: float = knob(1e-5, above=0, high=1, help="added to the variance")

    def build(self, channels: int, *, spatial: bool) -> nn.Module:
        """nn.GroupNorm. ValueError where the groups do not divide the channels."""
        from torch import nn

        from cockpit.nets.layers import nearest_divisor

        if channels % self.groups:
            nearest = nearest_divisor(channels, self.groups)
            raise ValueError(f"norm: {self.groups} groups do not divide {channels} channels; the nearest that do is {nearest}")
        return nn.GroupNorm(self.groups, channels, eps=self.eps)
