"""Members of the choices by name, with the defaults that a recipe would fill in."""

from typing import Any

import torch

from cockpit.catalog import family
from cockpit.travel import Task

torch.set_num_threads(1)

NESTED = ("activation", "init", "norm")


def make(kind: str, name: str, **knobs: Any) -> Any:
    """A member; `activation`, `init` and `norm` of a model are given by name."""
    card = family(kind)[name]
    for nested in card.knobs:
        if nested.type in NESTED:
            chosen = knobs.get(nested.name, nested.default)
            knobs[nested.name] = make(nested.type, chosen) if isinstance(chosen, str) else chosen
    return card.cls(**knobs)


def net(name: str, channels: int = 1, side: int = 8, classes: int = 10, **knobs: Any) -> torch.nn.Module:
    """A network for square images."""
    built = make("model", name, **knobs).build(Task(channels, side, side, classes))
    assert isinstance(built, torch.nn.Module)
    return built


def count(module: torch.nn.Module) -> int:
    """Parameters of a network."""
    return sum(parameter.numel() for parameter in module.parameters())
