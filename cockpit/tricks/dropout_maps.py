"""Dropout for the maps of convolutional networks: whole channels, or square regions."""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Parts
from cockpit.tricks.dropout import Dropping

if TYPE_CHECKING:
    from torch import Tensor, nn


def last_map(parts: Parts, trick: str) -> tuple[nn.Module, tuple[int, ...]]:
    """The part of the network that hands over the last map, behind all norms, and the map's (height, width).

    Found by showing an empty image to a copy; a part that is used several times is passed over. ValueError where no map
    leaves any layer but the first, as in a transformer.
    """
    import torch

    from cockpit.nets.places import stem_of

    seen: list[tuple[str, torch.Size]] = []

    def note(name: str, _: nn.Module, __: object, output: object) -> None:
        seen.append((name, output.shape if isinstance(output, torch.Tensor) else torch.Size()))

    twin = copy.deepcopy(parts.model).eval()
    for name, module in twin.named_modules():
        module.register_forward_hook(partial(note, name))
    device = next(twin.parameters()).device
    with torch.no_grad():
        twin(torch.zeros(1, parts.task.channels, parts.task.height, parts.task.width, device=device))
    calls = [name for name, _ in seen]
    maps = [(name, shape[2:]) for name, shape in seen if len(shape) == 4 and shape[2:] != (1, 1) and calls.count(name) == 1]
    if not maps or maps[-1][0] == stem_of(twin).name:
        raise ValueError(f"{trick} needs the maps of a convolutional network; this one has none behind its first layer")
    return parts.model.get_submodule(maps[-1][0]), tuple(maps[-1][1])


@card(
    "dropout_2d",
    family="regularisation",
    seams=("model",),
    live=True,
    when="A convolutional network overfits: neighbours in a map tell the same, so single values are not missed.",
    beware="Acts on the last map only, behind all norms. Off in evaluation mode.",
    source="Tompson et al. 2015, arXiv 1411.4280",
    conflicts={"drop_block": "one dropout for the last map"},
)
class Dropout2d(Toggle):
    """Set random channels of the last map to zero in training and scale up the rest."""

    p: float = knob(0.1, low=0, high=0.9, help="share of the channels set to zero")

    def plug(self, parts: Parts) -> Dropping:
        """Hang it behind the last map; it draws from torch's own generator, as nn.Dropout2d does."""
        from torch.nn import functional

        def drop(module: nn.Module, _: object, output: Tensor) -> Tensor:
            return functional.dropout2d(output, self.p, module.training)

        place, _ = last_map(parts, "dropout_2d")
        return Dropping([place.register_forward_hook(drop)])


@card(
    "drop_block",
    family="regularisation",
    seams=("model",),
    live=True,
    when="A convolutional network overfits: a hole as large as a part of the object makes it look at other parts.",
    beware="Acts on the last map only, often 4x4 for small images: a block of 3 is most of it. Off in evaluation mode.",
    source="Ghiasi et al. 2018, arXiv 1810.12890",
)
class DropBlock(Toggle):
    """Set square regions of the last map to zero in training and scale up the rest."""

    p: float = knob(0.1, low=0, high=0.9, help="share of the map set to zero")
    block: int = knob(3, low=1, high=31, help="side of a region, an odd number")

    def __post_init__(self) -> None:
        """ValueError where the side is even."""
        if self.block % 2 == 0:
            raise ValueError(f"drop_block: block must be odd; the nearest are {self.block - 1} and {self.block + 1}")

    def plug(self, parts: Parts) -> Dropping:
        """Hang it behind the last map. ValueError where a block is larger than the map."""
        from torchvision.ops import drop_block2d

        def drop(module: nn.Module, _: object, output: Tensor) -> Tensor:
            dropped: Tensor = drop_block2d(output, self.p, self.block, training=module.training)
            return dropped

        place, (height, width) = last_map(parts, "drop_block")
        side = min(height, width)
        if self.block > side:
            largest = side if side % 2 else side - 1
            raise ValueError(f"drop_block: a block of {self.block} is larger than the {height}x{width} map; take {largest}")
        return Dropping([place.register_forward_hook(drop)])
