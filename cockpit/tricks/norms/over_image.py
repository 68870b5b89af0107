"""Norms that look at one image at a time: the same in training and evaluation, whatever the batch. And none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cockpit.cards import card, knob
from cockpit.families import Norm

if TYPE_CHECKING:
    from torch import nn


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


@card(
    "instance",
    when="Contrast and style should not matter.",
    beware="Contrast is gone, whether it mattered or not, and a map of 1x1 has nothing to standardise.",
    source="Ulyanov et al. 2016, arXiv 1607.08022",
)
class InstanceNorm(Norm):
    """Standardise each channel of each image, then scale and shift it."""

    def build(self, channels: int, *, spatial: bool) -> nn.Module:
        """nn.InstanceNorm2d, for maps only, ValueError otherwise."""
        from torch import nn

        if not spatial:
            raise ValueError("norm: instance is for maps, and this network has vectors to normalise; take layer")
        return nn.InstanceNorm2d(channels, affine=True)


@card(
    "rms",
    when="As layer in a transformer or an MLP, a little cheaper.",
    beware="For vectors only. Takes no mean away, so the layers before it keep their biases.",
    source="Zhang & Sennrich 2019, arXiv 1910.07467",
)
class RmsNorm(Norm):
    """Divide the features of one sample by their root mean square, then scale each."""

    def build(self, channels: int, *, spatial: bool) -> nn.Module:
        """nn.RMSNorm, for vectors only, ValueError otherwise."""
        from torch import nn

        if spatial:
            raise ValueError("norm: rms is for the vectors of mlp and vit, and this network has maps; take layer")
        return nn.RMSNorm(channels)


@card(
    "lrn",
    when="History: AlexNet.",
    beware="Neither centres nor scales: deep networks want a fitting initialisation all the same.",
    source="Krizhevsky et al. 2012, NIPS",
)
class LocalResponseNorm(Norm):
    """Divide each number by the energy of the neighbouring channels at its place."""

    size: int = knob(5, low=1, high=63, help="neighbouring channels, itself included")

    def build(self, channels: int, *, spatial: bool) -> nn.Module:
        """nn.LocalResponseNorm, for maps only, ValueError otherwise."""
        from torch import nn

        if not spatial:
            raise ValueError("norm: lrn is for maps, and this network has vectors to normalise; take layer")
        return nn.LocalResponseNorm(self.size)


@card(
    "frn",
    when="Batches too small for batch norm in a convolutional network.",
    beware="Ends in an activation of its own. Of a map of 1x1 it leaves little but the sign.",
    source="Singh & Krishnan 2019, arXiv 1911.09737",
    cautions={"nonlinear": "frn ends in an activation of its own; with activation identity it is the only one"},
)
class FilterResponseNorm(Norm):
    """Divide each channel of an image by its root mean square, scale, shift, and cut off below a learned threshold."""

    def build(self, channels: int, *, spatial: bool) -> nn.Module:
        """timm's FilterResponseNormTlu2d, for maps only, ValueError otherwise."""
        if not spatial:
            raise ValueError("norm: frn is for maps, and this network has vectors to normalise; take layer")
        from timm.layers.filter_response_norm import FilterResponseNormTlu2d

        built: nn.Module = FilterResponseNormTlu2d(channels)
        return built
