"""Networks that are one sequence of layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cockpit.cards import card, knob
from cockpit.families import Model, Norm
from cockpit.travel import Task
from cockpit.tricks.models.start import WIDTH, started, widened

if TYPE_CHECKING:
    from torch import nn


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
    width: float = knob(1.0, low=0.125, high=8, help=WIDTH)

    def build(self, task: Task) -> nn.Module:
        """Any image size. ValueError where there are no widths."""
        from cockpit.nets.plain import small_cnn

        if not self.widths:
            raise ValueError("small_cnn: widths needs at least one number, as in [32, 64, 128]")
        return started(
            small_cnn(task, widened(self.widths, self.width), self.convs, self.activation.build, self.norm.build), self
        )


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
