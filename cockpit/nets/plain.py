"""Networks that are one sequence of layers. Each ends in a linear layer named `head`."""

from typing import Literal

from torch import nn

from cockpit.nets.layers import MakeActivation, MakeNorm, conv, linear, sequence, unit
from cockpit.travel import Task

SMALLEST_MAP = 4
"""small_cnn halves its maps no further than this: below it, most of a 3x3 filter would see padding."""
LENET_SIDE = 12


def mlp(task: Task, widths: tuple[int, ...], activation: MakeActivation, norm: MakeNorm) -> nn.Sequential:
    """Flatten, hidden layers, head."""
    layers: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    inputs = task.channels * task.height * task.width
    for number, outputs in enumerate(widths, 1):
        layers |= unit(f"fc{number}", *linear(inputs, outputs, norm), activation())
        inputs = outputs
    return sequence({**layers, "head": nn.Linear(inputs, task.classes)})


def small_cnn(task: Task, widths: tuple[int, ...], convs: int, activation: MakeActivation, norm: MakeNorm) -> nn.Sequential:
    """Stages of 3x3 convolutions with pooling between them, the mean over the map, head. Any image size."""
    layers: dict[str, nn.Module] = {}
    inputs, side = task.channels, min(task.height, task.width)
    for stage, outputs in enumerate(widths, 1):
        if stage > 1 and side // 2 >= SMALLEST_MAP:
            layers[f"pool{stage}"] = nn.MaxPool2d(2)
            side //= 2
        for number in range(1, convs + 1):
            layers |= unit(f"conv{stage}_{number}", *conv(inputs, outputs, norm), activation())
            inputs = outputs
    return sequence(
        {**layers, "mean": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "head": nn.Linear(inputs, task.classes)}
    )


def lenet(
    task: Task, widths: tuple[int, ...], pool: Literal["max", "avg"], activation: MakeActivation, norm: MakeNorm
) -> nn.Sequential:
    """Two 5x5 convolutions with pooling, two hidden layers, head. ValueError where a side is under 12 pixels.

    The first convolution pads images under 32 pixels by two on each side, which makes 28 into the 32 of the paper.
    """
    side = min(task.height, task.width)
    if side < LENET_SIDE:
        raise ValueError(
            f"{task.height}x{task.width} images are too small for the two 5x5 convolutions of lenet; "
            f"the smallest side is {LENET_SIDE}, and small_cnn takes any size"
        )
    pad = 2 if side < 32 else 0
    first, second, third, fourth = widths
    pooling = nn.MaxPool2d if pool == "max" else nn.AvgPool2d
    flat = second * _lenet_side(task.height, pad) * _lenet_side(task.width, pad)
    return sequence(
        {
            **unit("conv1", *conv(task.channels, first, norm, 5, padding=pad), activation()),
            "pool1": pooling(2),
            **unit("conv2", *conv(first, second, norm, 5, padding=0), activation()),
            "pool2": pooling(2),
            "flatten": nn.Flatten(),
            **unit("fc1", *linear(flat, third, norm), activation()),
            **unit("fc2", *linear(third, fourth, norm), activation()),
            "head": nn.Linear(fourth, task.classes),
        }
    )


def _lenet_side(side: int, pad: int) -> int:
    """What two 5x5 convolutions, the first padded, and two halvings leave of a side."""
    return ((side + 2 * pad - 4) // 2 - 4) // 2
