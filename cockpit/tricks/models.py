"""Networks. All take images of 1 or 3 channels; the last layer of each is a linear layer named `head`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from cockpit.cards import card, knob
from cockpit.families import Activation, Init, Model, Norm
from cockpit.travel import Task

if TYPE_CHECKING:
    from torch import nn


def started(net: nn.Module, model: Model) -> nn.Module:
    """The network with its weights as the model's init wants them."""
    from cockpit.nets import initialise

    initialise(net, model.init, model.activation)
    return net


@card(
    "mlp",
    when="A baseline, data that is not pictures, and to see gradients vanish with depth.",
    beware="Knows nothing of neighbouring pixels: wants more data or augmentation than a convolutional network.",
    source="Rumelhart et al. 1986, Nature 323",
)
class Mlp(Model):
    """Hidden linear layers on the flattened image."""

    widths: tuple[int, ...] = knob((512, 512), low=1, high=65_536, help="units of each hidden layer; [] is a linear classifier")

    def build(self, task: Task) -> nn.Module:
        """Any image size."""
        from cockpit.nets.plain import mlp

        return started(mlp(task, self.widths, self.activation.build, self.norm.build), self)


@card(
    "small_cnn",
    when="First choice for images of 8 to 64 pixels.",
    beware="Maps are halved between stages, but never below 4x4.",
    source="Simonyan & Zisserman 2015, arXiv 1409.1556",
)
class SmallCnn(Model):
    """Stages of 3x3 convolutions with pooling between them, the mean over the map, a linear head."""

    widths: tuple[int, ...] = knob((32, 64, 128), low=1, high=4096, help="channels of each stage")
    convs: int = knob(2, low=1, high=4, help="convolutions in each stage")

    def build(self, task: Task) -> nn.Module:
        """Any image size. ValueError where there are no widths."""
        from cockpit.nets.plain import small_cnn

        if not self.widths:
            raise ValueError("small_cnn: widths needs at least one number, as in [32, 64, 128]")
        return started(small_cnn(task, self.widths, self.convs, self.activation.build, self.norm.build), self)


@card(
    "lenet",
    when="History, and a quick run on digits or clothes of 28 pixels.",
    beware="Takes no image under 12 pixels. The paper's form: activation tanh, pool avg.",
    source="LeCun et al. 1998, Proc. IEEE 86",
)
class LeNet(Model):
    """Two 5x5 convolutions with pooling, two hidden layers, a linear head."""

    norm: Norm = knob("none", help="the normalisation after each layer")
    widths: tuple[int, ...] = knob(
        (6, 16, 120, 84), low=1, high=4096, help="channels of the two convolutions, units of the two hidden layers"
    )
    pool: Literal["max", "avg"] = knob("max", help="how a map is halved")

    def build(self, task: Task) -> nn.Module:
        """ValueError where a side is under 12 pixels or widths has not four numbers."""
        from cockpit.nets.plain import lenet

        if len(self.widths) != 4:
            raise ValueError(f"lenet: widths takes four numbers, as in [6, 16, 120, 84]; it has {len(self.widths)}")
        return started(lenet(task, self.widths, self.pool, self.activation.build, self.norm.build), self)


@card(
    "resnet",
    when="Natural images, when small_cnn has stopped improving.",
    beware="Slow on a CPU. Depth 20 is the small CIFAR network, the others are the ImageNet ones with a 3x3 stem.",
    source="He et al. 2016, arXiv 1512.03385",
)
class ResNet(Model):
    """Residual network with a stem for small images: one 3x3 convolution, no pooling."""

    depth: Literal[18, 20, 34, 50] = knob(18, help="layers with weights")
    width: float = knob(1.0, low=0.25, high=2, help="factor on all channels, which become multiples of 8")

    def build(self, task: Task) -> nn.Module:
        """Any image size."""
        from cockpit.nets.resnet import resnet

        return started(resnet(task, self.depth, self.width, self.activation.build, self.norm.build), self)


@card(
    "vit",
    when="Much data or strong augmentation; with adamw, warm-up and label smoothing.",
    beware="Knows nothing of pictures at the start: on small data it stays behind a convolutional network.",
    source="Dosovitskiy et al. 2021, arXiv 2010.11929",
)
class Vit(Model):
    """Vision transformer: patches as tokens, self-attention between them."""

    activation: Activation = knob("gelu", help="the non-linearity inside each block")
    init: Init = knob("trunc_normal_002", help="how the weights start")
    norm: Norm = knob("layer", help="the normalisation of each token")
    patch: int = knob(4, low=1, high=64, help="side of a patch in pixels; must divide the image")
    dim: int = knob(96, low=8, high=2048, help="numbers in a token")
    depth: int = knob(4, low=1, high=24, help="encoder blocks")
    heads: int = knob(3, low=1, high=32, help="attention heads; must divide dim")
    mlp_ratio: float = knob(4.0, low=0.5, high=8, help="hidden units of a block, as a multiple of dim")
    pool: Literal["token", "avg"] = knob("token", help="read the class from a token of its own, or from the mean of all")

    def build(self, task: Task) -> nn.Module:
        """ValueError where patch does not divide the image or heads does not divide dim."""
        from cockpit.nets.vit import Shape, VisionTransformer

        shape = Shape(self.patch, self.dim, self.depth, self.heads, self.mlp_ratio, self.pool)
        return started(VisionTransformer(task, shape, self.activation.build, self.norm.build), self)


@card(
    "file",
    when="You have a network of your own.",
    beware="Runs the code in the file with your rights: only for files that you have read.",
    source="your own file",
)
class File(Model):
    """A network from your Python file: a function or class that returns a torch.nn.Module.

    It is called with those of these arguments that it accepts: in_channels, num_classes, image_size (height, width),
    activation (a function that makes one) and norm (called with the channels, and spatial=True for maps).
    """

    runs_code: ClassVar[bool] = True

    init: Init = knob("torch_default", help="how the weights start; torch_default leaves them as the file made them")
    path: str = knob(help="the Python file")
    factory: str = knob("build", help="the function or class in it that makes the network")

    def build(self, task: Task) -> nn.Module:
        """ValueError where the file, the factory or a fitting network is missing."""
        from cockpit.nets.from_file import from_file

        return started(from_file(self.path, self.factory, task, self.activation.build, self.norm.build), self)
