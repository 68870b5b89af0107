"""Lookahead."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Moment, Parts

if TYPE_CHECKING:
    from torch import Tensor, nn


class Slow:
    """The slow weights, in a copy of the network."""

    def __init__(self, settings: Lookahead, model: nn.Module) -> None:
        self._settings = settings
        self._copy = copy.deepcopy(model).eval().requires_grad_(False)

    def weights(self, model: nn.Module, at: Moment) -> nn.Module:
        """Every k steps: the slow weights a share of the way to the fast ones, and the fast ones to where the slow ones are."""
        import torch

        if (at.clock.step + 1) % self._settings.k == 0:
            slow: list[Tensor] = list(self._copy.parameters())
            fast: list[Tensor] = list(model.parameters())
            with torch.no_grad():
                torch._foreach_lerp_(slow, fast, self._settings.alpha)
                torch._foreach_copy_(fast, slow)
        return model

    def evaluate(self, model: nn.Module) -> nn.Module:
        """The network with the slow weights, and the running statistics of the fast one."""
        for mine, yours in zip(self._copy.buffers(), model.buffers(), strict=True):
            mine.copy_(yours)
        return self._copy

    def state_dict(self) -> dict[str, Any]:
        """The slow weights."""
        return dict(self._copy.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put saved ones back."""
        self._copy.load_state_dict(state)


@card(
    "lookahead",
    family="optimizer",
    seams=("weights", "evaluate"),
    stage="average",
    live=True,
    tags=("averages",),
    conflicts={"averages": "each keeps a second copy of the weights, and only one can be scored"},
    when="A fast, restless optimizer: it takes the wiggle out and forgives a rate that is too high.",
    beware="It changes where the training goes; an average only looks on. Scores shown are those of the slow weights.",
    source="Zhang et al. 2019, arXiv 1907.08610",
)
class Lookahead(Toggle):
    """Every k steps, go back part of the way to where the last k steps began."""

    k: int = knob(6, low=2, high=50, help="steps between two looks back")
    alpha: float = knob(0.5, above=0, below=1, help="share of the way that is kept")

    def plug(self, parts: Parts) -> Slow:
        """Slow weights that start where the fast ones are."""
        return Slow(self, parts.model)
