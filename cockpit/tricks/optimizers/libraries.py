"""Every other optimizer of torch and timm, by its name there."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cockpit.cards import card, knob
from cockpit.families import Optimizer
from cockpit.tricks.optimizers._shared import rated

if TYPE_CHECKING:
    import torch


def parsed(settings: tuple[str, ...]) -> dict[str, Any]:
    """`key=value` texts as keyword arguments; a value that is no Python literal is text. ValueError without a `=`."""
    found = {}
    for text in settings:
        key, sign, value = (part.strip() for part in text.partition("="))
        if not sign or not key.isidentifier():
            raise ValueError(f"settings takes texts such as eps=1e-6, got {text[:60]!r}")
        if key in ("lr", "weight_decay"):
            raise ValueError(f"{key} is a knob of its own: say it outside of settings")
        found[key] = _literal(value)
    return found


def _literal(text: str) -> Any:
    words = {"true": True, "false": False, "null": None}
    try:
        value = words[text.lower()] if text.lower() in words else ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Named(Optimizer):
    """What the two share."""

    which: str = knob("", help="its name in the library")
    lr: float = knob(1e-3, above=0, high=20, live=True, help="learning rate")
    weight_decay: float = knob(0.0, low=0, high=1, live=True, help="as the optimizer takes it")
    settings: tuple[str, ...] = knob((), help="its other settings, as texts such as eps=1e-6 or betas=(0.9, 0.99)")

    def __post_init__(self) -> None:
        """ValueError where a setting cannot be read."""
        parsed(self.settings)

    def options(self) -> dict[str, Any]:
        """The knobs and the settings as keyword arguments."""
        return {"lr": self.lr, "weight_decay": self.weight_decay, **parsed(self.settings)}


@card(
    "torch",
    when="An optimizer of torch.optim that has no entry of its own, such as Adamax, ASGD, Adafactor or Rprop.",
    beware="Its settings are torch's, defaults included. Rprop wants the gradient of the whole training set.",
    source="PyTorch documentation, torch.optim",
)
class TorchOptimizer(Named):
    """Any class of torch.optim, by its name."""

    which: str = knob("Adamax", help="the name of the class, in any case")

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """The class over the groups. ValueError for an unknown name or setting."""
        from cockpit.optim.named import torch_optimizer

        return torch_optimizer(self.which, rated(groups, self), self.options())


@card(
    "timm",
    when="One of timm's hundred optimizers that has no entry of its own, such as adamp, adan, adopt or adahessian.",
    beware="Its settings are timm's, and its momentum is 0.9 unless settings says otherwise. Some draw random numbers that "
    "start anew on a resume (adahessian, kron), and kron compiles itself for a minute before its first step.",
    source="Wightman, timm documentation, timm.optim",
)
class TimmOptimizer(Named):
    """Any optimizer of timm's factory, by its name."""

    which: str = knob("adamp", help="the name in timm.optim.list_optimizers()")

    @property
    def contract(self) -> tuple[str, ...]:  # type: ignore[override]
        """`create_graph` for the one that needs second derivatives."""
        return ("create_graph",) if self.which.lower() == "adahessian" else ()

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """What timm's factory makes of the groups. ValueError for an unknown name or setting."""
        from cockpit.optim.named import timm_optimizer

        return timm_optimizer(self.which, rated(groups, self), self.options())
