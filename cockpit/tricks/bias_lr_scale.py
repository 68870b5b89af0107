"""A larger learning rate for the biases of norm layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Parts

if TYPE_CHECKING:
    from torch import nn


def norm_biases(model: nn.Module) -> set[int]:
    """Which parameters are biases of norm layers, by id: a layer whose weight and bias are both one vector of one length."""
    pairs = [(getattr(layer, "weight", None), getattr(layer, "bias", None)) for layer in model.modules()]
    return {
        id(bias)
        for weight, bias in pairs
        if weight is not None and bias is not None and weight.ndim == 1 and weight.shape == bias.shape
    }


@card(
    "bias_lr_scale",
    family="optimizer",
    seams=("params",),
    when="Very short runs with batch norm: the biases of the norms must travel far in few steps.",
    beware="Tuned for SGD. With Adam, whose steps ignore the size of the gradient, it is 64 times too far. "
    "A weight_decay edited in mid-run leaves these biases as they were.",
    source="Page 2019, How to train your ResNet 8",
)
class BiasLrScale(Toggle):
    """Multiply the learning rate of the norm layers' biases, and divide their weight decay by the same."""

    scale: float = knob(64.0, low=1, high=256, help="factor on their learning rate")

    def plug(self, parts: Parts) -> BiasLrScale:
        """Itself. ValueError where the network has no norm layer with a bias."""
        if not norm_biases(parts.model):
            raise ValueError("bias_lr_scale finds no norm layer with a bias in this network; take model.norm: batch")
        return self

    def params(self, groups: list[dict[str, Any]], model: nn.Module) -> list[dict[str, Any]]:
        """Split each group in two: the norm layers' biases with their own rate and decay, and the rest."""
        biases, split = norm_biases(model), []
        for group in groups:
            rest = [weight for weight in group["params"] if id(weight) not in biases]
            apart = [weight for weight in group["params"] if id(weight) in biases]
            if rest:
                split.append({**group, "params": rest})
            if apart:
                scaled = {"lr_scale": group.get("lr_scale", 1.0) * self.scale, "decay_scale": 1 / self.scale}
                split.append({**group, **scaled, "params": apart, "pinned": ("weight_decay",)})
        return split
