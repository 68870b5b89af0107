"""Residual networks with a stem for small images: one 3x3 convolution at stride 1 and no pooling before the first block.

He et al. 2016, arXiv 1512.03385. Depths 18, 34 and 50 are the paper's ImageNet networks, 20 is its CIFAR network; every
shortcut that changes shape is a 1x1 convolution (the paper's option B). The paper's own stem is at hand for large images.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from cockpit.nets.layers import MakeActivation, MakeNorm, conv, sequence, unit
from cockpit.travel import Task


@dataclass(frozen=True)
class Plan:
    """The stages of one depth."""

    blocks: tuple[int, ...]
    """Blocks in each stage."""
    width: int
    """Channels of the first stage; each later stage doubles them and halves the map."""
    bottleneck: bool = False


PLANS = {
    18: Plan((2, 2, 2, 2), 64),
    20: Plan((3, 3, 3), 16),
    34: Plan((3, 4, 6, 3), 64),
    50: Plan((3, 4, 6, 3), 64, bottleneck=True),
}
EXPANSION = 4
"""How many times wider than its 3x3 convolution a bottleneck block ends."""


class Residual(nn.Module):
    """act(branch(x) + shortcut(x))."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module, act: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        out: Tensor = self.act(self.branch(x) + self.shortcut(x))
        return out


def residual(
    inputs: int, inner: int, stride: int, plan: Plan, activation: MakeActivation, norm: MakeNorm
) -> tuple[Residual, int]:
    """One block, and the channels it puts out. The stride is that of the 3x3 convolution, the first where there are two."""
    outputs = inner * EXPANSION if plan.bottleneck else inner
    if plan.bottleneck:
        branch = {
            **unit("conv1", *conv(inputs, inner, norm, 1), activation()),
            **unit("conv2", *conv(inner, inner, norm, 3, stride), activation()),
            **unit("conv3", *conv(inner, outputs, norm, 1)),
        }
    else:
        branch = {
            **unit("conv1", *conv(inputs, inner, norm, 3, stride), activation()),
            **unit("conv2", *conv(inner, outputs, norm)),
        }
    same = inputs == outputs and stride == 1
    shortcut = nn.Identity() if same else sequence(unit("conv", *conv(inputs, outputs, norm, 1, stride)))
    return Residual(sequence(branch), shortcut, activation()), outputs


def then(name: str, after: nn.Module, act: nn.Module) -> dict[str, nn.Module]:
    """A norm and an activation that stand apart from their layer; a norm that does nothing is left out."""
    parts = {} if isinstance(after, nn.Identity) else {f"{name}_norm": after}
    return {**parts, f"{name}_act": act}


def scaled(channels: int, factor: float) -> int:
    """Channels times a factor, as a multiple of 8 where the factor is not 1."""
    return channels if factor == 1 else max(8, round(channels * factor / 8) * 8)


Stem = Literal["small", "imagenet"]
"""One 3x3 convolution, or a 7x7 one and a pooling that each halve the map."""


def resnet(task: Task, depth: int, width: float, stem: Stem, activation: MakeActivation, norm: MakeNorm) -> nn.Sequential:
    """Stem, stages of residual blocks, the mean over the map, head. Any image size."""
    plan = PLANS[depth]
    inputs = scaled(plan.width, width)
    kernel, stride = (3, 1) if stem == "small" else (7, 2)
    layers = unit("conv1", *conv(task.channels, inputs, norm, kernel, stride), activation())
    if stem == "imagenet":
        layers["pool"] = nn.MaxPool2d(3, stride=2, padding=1)
    for stage, blocks in enumerate(plan.blocks):
        inner = scaled(plan.width * 2**stage, width)
        for number in range(blocks):
            stride = 2 if stage > 0 and number == 0 else 1
            block, inputs = residual(inputs, inner, stride, plan, activation, norm)
            layers[f"stage{stage + 1}_{number + 1}"] = block
    return sequence(
        {**layers, "mean": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "head": nn.Linear(inputs, task.classes)}
    )
