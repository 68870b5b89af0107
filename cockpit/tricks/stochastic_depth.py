"""Stochastic depth: a different, shallower network for each image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Parts
from cockpit.tricks.dropout import Dropping

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.utils.hooks import RemovableHandle


DROPPERS = ("drop_path", "drop_path1", "drop_path2", "stochastic_depth")
"""What the blocks of timm and torchvision call the part that does this at the end of a branch; it may be None."""


def residual_blocks(model: nn.Module) -> list[list[nn.Module]]:
    """For each residual block, in the order of the network, the parts whose output is added to a shortcut."""
    from cockpit.nets.resnet import Residual

    blocks: list[list[nn.Module]] = []
    for module in model.modules():
        if isinstance(module, Residual):
            blocks.append([module.branch])
        elif {"attention", "fc2"} <= dict(module.named_children()).keys():  # the encoder blocks of our transformers
            blocks.append([module.get_submodule(name) for name in ("attention", "fc2")])
        elif ends := [_end(module, name) for name in DROPPERS if hasattr(module, name)]:
            blocks.append(ends)
    return blocks


def _end(module: nn.Module, name: str) -> nn.Module:
    """The part of that name; one that does nothing is put there where there is none. ValueError where it skips already."""
    from torch import nn

    if getattr(module, name) is None:
        setattr(module, name, nn.Identity())
    part: nn.Module = getattr(module, name)
    if getattr(part, "drop_prob", 0) or getattr(part, "p", 0):
        raise ValueError("stochastic_depth: this network skips branches already; leave one of the two")
    return part


@card(
    "stochastic_depth",
    family="regularisation",
    aliases=("drop_path",),
    seams=("model",),
    live=True,
    when="A deep residual network or transformer trains for long.",
    beware="Networks of a few blocks lose more than they gain: scale the rate down with the depth. Off in evaluation mode.",
    source="Huang et al. 2016, arXiv 1603.09382",
)
class StochasticDepth(Toggle):
    """Skip residual branches at random in training, and scale up the others."""

    rate: float = knob(0.1, low=0, high=0.8, help="how often the branch of the last block is skipped")
    mode: Literal["row", "batch"] = knob("row", help="skip for each image by itself, or for the whole batch")
    ramp: bool = knob(True, help="the rate rises from 0 in the first block; off: it is the same in all")

    def rates(self, blocks: int) -> list[float]:
        """The rate of each block."""
        return [self.rate * (number / (blocks - 1) if self.ramp and blocks > 1 else 1.0) for number in range(blocks)]

    def plug(self, parts: Parts) -> Dropping:
        """Hang it behind the branches. ValueError where the network has none, or skips them already."""
        blocks = residual_blocks(parts.model)
        if not blocks:
            raise ValueError("stochastic_depth: no residual branch to skip; take a network with shortcuts, as resnet or vit")
        rates = self.rates(len(blocks))
        return Dropping([self._hang(part, rate) for block, rate in zip(blocks, rates, strict=True) for part in block])

    def _hang(self, part: nn.Module, rate: float) -> RemovableHandle:
        from torchvision.ops import stochastic_depth

        def skip(module: nn.Module, _: object, output: Tensor) -> Tensor:
            skipped: Tensor = stochastic_depth(output, rate, self.mode, module.training)
            return skipped

        return part.register_forward_hook(skip)
