"""Smaller learning rates for the layers near the image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Parts

if TYPE_CHECKING:
    from torch import nn


def depths(model: nn.Module) -> dict[int, int]:
    """Id of each parameter -> the number of its layer, from 0 at the image. ValueError for a network without a known order.

    timm's networks say it themselves, where they stand alone or inside another module; a sequence is ordered as it is; a
    network with `blocks` has what stands before them in front and what stands after them at the end.
    """
    from torch import nn

    for inside in model.modules():
        if hasattr(inside, "group_matcher"):
            return _of_timm(inside)
    layers = list(_of_sequence(model)) if isinstance(model, nn.Sequential) else list(_of_blocks(model))
    filled = [found for found in layers if found]
    if len(filled) < 2:
        raise ValueError(
            f"layer_decay does not know the order of the layers of {type(model).__name__}; it knows sequences, "
            "networks with `blocks` and those of timm"
        )
    return {id(weight): number for number, found in enumerate(filled) for weight in found}


def _of_timm(model: Any) -> dict[int, int]:
    from timm.models import group_parameters

    numbers = group_parameters(model, model.group_matcher(coarse=False), reverse=True)
    return {id(weight): numbers[name] for name, weight in model.named_parameters()}


def _of_sequence(model: nn.Module) -> Iterator[list[nn.Parameter]]:
    """One list for each entry; a norm or an activation, `conv1_norm`, belongs to its layer, `conv1`."""
    owner, found = "", list[Any]()
    for name, child in model.named_children():
        if not (owner and name.startswith(f"{owner}_") and name.removeprefix(f"{owner}_") in ("norm", "act")):
            yield found
            owner, found = name, []
        found += child.parameters()
    yield found


def _of_blocks(model: nn.Module) -> Iterator[list[nn.Parameter]]:
    """What stands before the blocks, each block, and what stands after them; nothing where there are none."""
    children = dict(model.named_children())
    if "blocks" not in children:
        return
    at = list(children).index("blocks")
    before, after = list(children.values())[:at], list(children.values())[at + 1 :]
    yield [*model.parameters(recurse=False), *(weight for child in before for weight in child.parameters())]
    for block in children["blocks"].children():
        yield list(block.parameters())
    yield [weight for child in after for weight in child.parameters()]


@card(
    "layer_decay",
    family="optimizer",
    seams=("params",),
    when="Fine-tuning a pretrained transformer: what the first layers learned is worth keeping.",
    beware="From fresh weights the first layers hardly learn. The rate shown is that of the head.",
    source="Clark et al. 2020, arXiv 2003.10555; Bao et al. 2022, arXiv 2106.08254",
)
class LayerDecay(Toggle):
    """Multiply the learning rate by the same factor once more for each layer further from the head."""

    decay: float = knob(0.75, above=0, high=1, help="factor from one layer to the one before it")

    def plug(self, parts: Parts) -> LayerDecay:
        """Itself. ValueError where the order of the layers is not known."""
        depths(parts.model)
        return self

    def params(self, groups: list[dict[str, Any]], model: nn.Module) -> list[dict[str, Any]]:
        """Split each group by layer; a weight that no layer owns counts to the last."""
        numbers = depths(model)
        last, split = max(numbers.values()), []
        for group in groups:
            for number in range(last + 1):
                weights = [weight for weight in group["params"] if numbers.get(id(weight), last) == number]
                if weights:
                    scale = group.get("lr_scale", 1.0) * self.decay ** (last - number)
                    split.append({**group, "params": weights, "lr_scale": scale})
        return split
