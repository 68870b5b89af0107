"""Wide residual networks: norm and activation before each convolution, few layers, many channels.

Zagoruyko & Komodakis 2016, arXiv 1605.07146.
"""

from torch import nn

from cockpit.nets.layers import MakeActivation, MakeNorm, conv, sequence
from cockpit.nets.resnet import Residual, then
from cockpit.travel import Task

STEM = 16
"""Channels before the first stage; the stages have k, 2k and 4k times as many."""
CONVS = 6
"""Convolutions that one more block in each of the three stages adds."""


def wide_resnet(task: Task, depth: int, k: int, dropout: float, activation: MakeActivation, norm: MakeNorm) -> nn.Sequential:
    """Stem, three stages of (depth - 4) / 6 blocks, norm, the mean over the map, head. Any image size."""
    layers: dict[str, nn.Module] = {"conv1": conv(task.channels, STEM, norm)[0]}
    inputs = STEM
    for stage in range(3):
        outputs = STEM * k * 2**stage
        for number in range((depth - 4) // CONVS):
            stride = 2 if stage > 0 and number == 0 else 1
            layers |= block(f"stage{stage + 1}_{number + 1}", inputs, outputs, stride, dropout, activation, norm)
            inputs = outputs
    return sequence(
        {
            **layers,
            **then("last", norm(inputs, spatial=True), activation()),
            "mean": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "head": nn.Linear(inputs, task.classes),
        }
    )


def block(
    name: str, inputs: int, outputs: int, stride: int, dropout: float, activation: MakeActivation, norm: MakeNorm
) -> dict[str, nn.Module]:
    """One residual block. Where the shape changes, the shortcut too starts after the first norm and activation."""
    branch = {
        "conv1": conv(inputs, outputs, norm, 3, stride)[0],
        **then("conv1", norm(outputs, spatial=True), activation()),
        **({"dropout": nn.Dropout(dropout)} if dropout else {}),
        "conv2": conv(outputs, outputs, norm)[0],
    }
    first = norm(inputs, spatial=True), activation()
    if inputs == outputs and stride == 1:
        return {name: Residual(sequence({**then("in", *first), **branch}), nn.Identity(), nn.Identity())}
    shortcut = conv(inputs, outputs, norm, 1, stride)[0]
    return {**then(f"{name}_in", *first), name: Residual(sequence(branch), shortcut, nn.Identity())}
