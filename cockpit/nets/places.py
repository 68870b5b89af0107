"""The two places of a network that tricks work on: the layer that sees the image, and the layer that names the class."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Place(NamedTuple):
    """A layer and where it stands, so that another can be put there."""

    name: str
    layer: nn.Module

    def put(self, model: nn.Module, layer: nn.Module) -> None:
        """Put another layer in its place."""
        owner, _, leaf = self.name.rpartition(".")
        model.get_submodule(owner).register_module(leaf, layer)


def stem_of(model: nn.Module) -> Place:
    """The first layer with weights. ValueError where there is none."""
    return _weighted(model)[0]


def head_of(model: nn.Module) -> Place:
    """The linear layer that makes the logits: the one called `head`, else the last. ValueError where there is none."""
    linear = [place for place in _weighted(model) if isinstance(place.layer, nn.Linear)]
    if not linear:
        raise ValueError("this network has no linear layer that makes the logits")
    named = [place for place in linear if place.name.rpartition(".")[2] == "head"]
    return (named or linear)[-1]


def _weighted(model: nn.Module) -> list[Place]:
    found = [Place(name, layer) for name, layer in model.named_modules() if isinstance(layer, WEIGHTED)]
    if not found:
        raise ValueError("this network has no linear and no convolution layer")
    return found
