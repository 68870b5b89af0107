"""Weight decay for weights only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cockpit.cards import card
from cockpit.families import Toggle

if TYPE_CHECKING:
    from torch import nn


@card(
    "no_decay_1d",
    family="optimizer",
    seams=("params",),
    when="Always, when weight decay is on.",
    beware="Changes nothing where weight_decay is 0.",
    source="Goyal et al. 2017, arXiv 1706.02677, section 5.3",
)
class NoDecay1d(Toggle):
    """No weight decay for biases, norm layers, and the tokens and positions of a transformer."""

    def params(self, groups: list[dict[str, Any]], model: nn.Module) -> list[dict[str, Any]]:
        """Split each group in two: matrices and filters, and the rest (tokens have one row) with weight decay 0."""
        split = []
        for group in groups:
            matrices = [weight for weight in group["params"] if weight.ndim > 1 and weight.shape[0] > 1]
            vectors = [weight for weight in group["params"] if weight.ndim <= 1 or weight.shape[0] == 1]
            if matrices:
                split.append({**group, "params": matrices})
            if vectors:
                split.append({**group, "params": vectors, "weight_decay": 0.0, "pinned": ("weight_decay",)})
        return split
