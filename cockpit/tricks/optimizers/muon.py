"""Muon."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cockpit.cards import card, knob
from cockpit.families import Optimizer
from cockpit.tricks.optimizers._shared import L2, rated

if TYPE_CHECKING:
    import torch
    from torch import nn


@card(
    "muon",
    seams=("params",),
    cautions=L2,
    when="Short runs of convolutional networks and transformers: often the fewest steps to a given loss.",
    beware="Each step costs several products of matrices. The head, embeddings, biases and norm layers are trained by AdamW.",
    source="Jordan et al. 2024; Liu et al. 2025, arXiv 2502.16982",
)
class Muon(Optimizer):
    """Momentum made orthogonal in each matrix, so that all its directions move alike; AdamW for the rest.

    A filter bank counts as a matrix with a row for each output channel.
    """

    lr: float = knob(0.02, above=0, high=20, live=True, help="learning rate")
    momentum: float = knob(0.95, low=0, high=0.999, live=True, help="share of the momentum that is kept")
    nesterov: bool = knob(False, help="look ahead along the momentum")
    ns_steps: int = knob(5, low=1, high=20, live=True, help="iterations that make it orthogonal")
    fallback_lr_scale: float = knob(0.05, above=0, high=10, live=True, help="the rate of AdamW for the rest, as a share of lr")
    weight_decay: float = knob(0.0, low=0, high=1, live=True, help="share of the weights, times lr, that each step removes")

    def params(self, groups: list[dict[str, Any]], model: nn.Module) -> list[dict[str, Any]]:
        """Put the head and the embeddings, matrices that Muon must not have, into groups of their own."""
        from torch import nn

        from cockpit.nets.places import head_of

        layers: list[nn.Module] = [module for module in model.modules() if isinstance(module, nn.Embedding)]
        with suppress(ValueError):  # a network that ends in a convolution has no head
            layers.append(head_of(model).layer)
        held_back = {id(weight) for layer in layers for weight in layer.parameters()}
        parts = []
        for group in groups:
            rest = [weight for weight in group["params"] if id(weight) in held_back]
            parts += [{**group, "params": [weight for weight in group["params"] if id(weight) not in held_back]}]
            parts += [{**group, "params": rest, "use_fallback": True}]
        return [group for group in parts if group["params"]]

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """timm.optim.Muon."""
        import timm.optim

        built: torch.optim.Optimizer = timm.optim.Muon(rated(groups, self), **self.options())
        return built
