"""Networks of the contests for the shortest time to an accuracy on CIFAR-10: few layers, and logits that start small.

Page 2018, "How to train your ResNet"; Jordan 2024, arXiv 2404.00498.
"""

from itertools import pairwise

from torch import Tensor, nn

from cockpit.nets.layers import MakeActivation, MakeNorm, conv, sequence, unit
from cockpit.nets.resnet import Residual, then
from cockpit.travel import Task

PAGE9_SIDE = 8
"""Three halvings leave one pixel of it."""
AIRBENCH_SIDE = 9
"""The first convolution takes one pixel off, three halvings leave one of the rest."""
AIRBENCH_FULL = 32
"""The side that airbench's numbers were found at; MNIST's 28 are padded to it."""
PADDED_FROM = 28


class Scale(nn.Module):
    """Multiply by a fixed number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return x * self.factor

    def extra_repr(self) -> str:
        """The number, for print."""
        return f"{self.factor:g}"


def page9(task: Task, widths: tuple[int, ...], head_scale: float, activation: MakeActivation, norm: MakeNorm) -> nn.Sequential:
    """Four convolutions, three of them followed by a pooling, and residual pairs after the first and the last of those.

    The branch of a pair ends in its activation, and nothing follows the sum. ValueError where a side is under 8 pixels.
    """
    _fits("page9", task, PAGE9_SIDE)
    layers = unit("conv1", *conv(task.channels, widths[0], norm), activation())
    for number, (inputs, outputs) in enumerate(pairwise(widths), 2):
        layers |= unit(f"conv{number}", *conv(inputs, outputs, norm), activation())
        layers[f"pool{number}"] = nn.MaxPool2d(2)
        if number != 3:
            pair = unit(f"conv{number}_1", *conv(outputs, outputs, norm), activation())
            pair |= unit(f"conv{number}_2", *conv(outputs, outputs, norm), activation())
            layers[f"pair{number}"] = Residual(sequence(pair), nn.Identity(), nn.Identity())
    return sequence({**layers, **_end(widths[-1], task, head_scale)})


def airbench(
    task: Task, widths: tuple[int, ...], convs: int, head_scale: float, activation: MakeActivation, norm: MakeNorm
) -> nn.Sequential:
    """A 2x2 convolution, which `whitening_conv` may replace, and three groups of 3x3 ones, each halving the map.

    With three convolutions in a group, the last two are a residual branch. Sides of 28 to 31 pixels are padded to 32.
    ValueError where a side is under 9 pixels.
    """
    _fits("airbench", task, AIRBENCH_SIDE)
    inputs = 2 * task.channels * 4
    layers: dict[str, nn.Module] = {"pad": nn.ZeroPad2d(_missing(task))} if any(_missing(task)) else {}
    layers |= {"conv1": nn.Conv2d(task.channels, inputs, 2), "conv1_act": activation()}
    for group, outputs in enumerate(widths, 2):
        first, after = conv(inputs, outputs, norm)
        layers |= {f"conv{group}_1": first, f"pool{group}": nn.MaxPool2d(2)}
        layers |= then(f"conv{group}_1", after, activation())
        second = unit(f"conv{group}_2", *conv(outputs, outputs, norm), activation())
        if convs == 3:
            branch = sequence({**second, **unit(f"conv{group}_3", *conv(outputs, outputs, norm))})
            layers[f"pair{group}"] = Residual(branch, nn.Identity(), activation())
        else:
            layers |= second
        inputs = outputs
    return sequence({**layers, **_end(inputs, task, head_scale)})


def _end(inputs: int, task: Task, head_scale: float) -> dict[str, nn.Module]:
    """The largest value of each map, a head without bias, small logits."""
    return {
        "max": nn.AdaptiveMaxPool2d(1),
        "flatten": nn.Flatten(),
        "head": nn.Linear(inputs, task.classes, bias=False),
        "scale": Scale(head_scale),
    }


def _missing(task: Task) -> tuple[int, int, int, int]:
    """Pixels to add at the left, right, top and bottom."""
    wide, high = (AIRBENCH_FULL - side if PADDED_FROM <= side < AIRBENCH_FULL else 0 for side in (task.width, task.height))
    return wide // 2, wide - wide // 2, high // 2, high - high // 2


def _fits(name: str, task: Task, side: int) -> None:
    if min(task.height, task.width) < side:
        raise ValueError(
            f"{task.height}x{task.width} images are too small for the halvings of {name}; "
            f"the smallest side is {side}, and small_cnn takes any size"
        )
