"""Residual networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cockpit.cards import card, knob
from cockpit.families import Activation, Model
from cockpit.travel import Task
from cockpit.tricks.models.start import WIDTH, exactly, started, widened

if TYPE_CHECKING:
    from torch import nn


@card(
    "resnet",
    when="Natural images, when small_cnn has stopped improving.",
    beware="Slow on a CPU. Depth 20 is the small CIFAR network, the others are the ImageNet ones. Under 100 pixels the "
    "imagenet stem leaves too small a map.",
    source="He et al. 2016, arXiv 1512.03385",
)
class ResNet(Model):
    """Residual network, with a stem for small images: one 3x3 convolution, no pooling."""

    depth: Literal[18, 20, 34, 50] = knob(18, help="layers with weights")
    stem: Literal["small", "imagenet"] = knob(
        "small", help="one 3x3 convolution; or a 7x7 one and a pooling, which each halve the map"
    )
    width: float = knob(1.0, low=0.25, high=2, help=WIDTH)

    def build(self, task: Task) -> nn.Module:
        """Any image size."""
        from cockpit.nets.resnet import resnet

        return started(resnet(task, self.depth, self.width, self.stem, self.activation.build, self.norm.build), self)


@card(
    "wide_resnet",
    when="Images of 32 pixels, when accuracy counts more than time; a good host for several inputs at once.",
    beware="28-10 has 36 million parameters. torchvision's wide_resnet50_2 is another network.",
    source="Zagoruyko & Komodakis 2016, arXiv 1605.07146",
)
class WideResNet(Model):
    """Residual network with few layers and k times the channels; norm and activation stand before each convolution."""

    depth: Literal[16, 22, 28, 40] = knob(16, help="layers with weights: 4, and 6 for each block of a stage")
    k: int = knob(4, low=1, high=10, help="factor on the 16, 32 and 64 channels of the three stages")
    dropout: float = knob(0.0, low=0, high=0.9, help="share of the activations set to zero between a block's two convolutions")

    def build(self, task: Task) -> nn.Module:
        """Any image size."""
        from cockpit.nets.wide_resnet import wide_resnet

        return started(wide_resnet(task, self.depth, self.k, self.dropout, self.activation.build, self.norm.build), self)


@card(
    "page9",
    when="Photographs of 32 pixels in few epochs.",
    beware="The contest's other parts are choices and toggles of their own: activation celu, norm ghost_batch, "
    "label_smoothing 0.2, whitening_conv. Takes no image under 8 pixels.",
    source="Page 2018, How to train your ResNet; davidcpage/cifar10-fast",
)
class Page9(Model):
    """The nine-layer residual network of the speed contests."""

    widths: tuple[int, ...] = knob((64, 128, 256, 512), low=1, high=4096, help="channels of the first layer and of each stage")
    head_scale: float = knob(0.125, above=0, high=10, help="factor on the logits, so that they start small")
    width: float = knob(1.0, low=0.125, high=8, help=WIDTH)

    def build(self, task: Task) -> nn.Module:
        """ValueError where a side is under 8 pixels or widths has not four numbers."""
        from cockpit.nets.speed import page9

        exactly("page9", self.widths, (64, 128, 256, 512))
        widths = widened(self.widths, self.width)
        return started(page9(task, widths, self.head_scale, self.activation.build, self.norm.build), self)


@card(
    "airbench",
    when="Photographs of 32 pixels in a few epochs: 94 % on CIFAR-10 in ten, with all its parts.",
    beware="The parts are choices and toggles of their own: whitening_conv, init dirac, norm batch with momentum 0.6, "
    "freeze_bn_scale, bias_lr_scale. The paper's learning rates are for a loss summed over the batch. Takes no image under "
    "9 pixels.",
    source="Jordan 2024, arXiv 2404.00498",
)
class Airbench(Model):
    """Three groups of two convolutions, or of three with a shortcut, behind a 2x2 one.

    The paper's forms: 94 % widths [64, 256, 256]; 95 % [128, 384, 384]; 96 % [128, 384, 512] and convs 3. Images of 28 to 31
    pixels are padded to 32.
    """

    activation: Activation = knob("gelu", help="the non-linearity between layers")
    widths: tuple[int, ...] = knob((64, 256, 256), low=1, high=4096, help="channels of each group")
    convs: Literal[2, 3] = knob(2, help="convolutions in a group; with 3, a shortcut passes the last two")
    head_scale: float = knob(0.111, above=0, high=10, help="factor on the logits, so that they start small")
    width: float = knob(1.0, low=0.125, high=8, help=WIDTH)

    def build(self, task: Task) -> nn.Module:
        """ValueError where a side is under 9 pixels or widths has not three numbers."""
        from cockpit.nets.speed import airbench

        exactly("airbench", self.widths, (64, 256, 256))
        widths = widened(self.widths, self.width)
        return started(airbench(task, widths, self.convs, self.head_scale, self.activation.build, self.norm.build), self)
