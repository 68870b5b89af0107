"""An exponential moving average of the weights, scored in place of the raw ones."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Moment, Parts

if TYPE_CHECKING:
    from torch import Tensor, nn


class Average:
    """The averaged copy of a network."""

    def __init__(self, settings: WeightEma, model: nn.Module) -> None:
        self._settings = settings
        self._copy = copy.deepcopy(model).eval().requires_grad_(False)

    def weights(self, model: nn.Module, at: Moment) -> nn.Module:
        """Move the average towards the weights that the optimizer just left."""
        import torch

        done = at.clock.step + 1
        warm = (1 + done) / (10 + done) if self._settings.warmup else 1.0
        share = 1 - min(self._settings.decay, warm)
        with torch.no_grad():
            ours: list[Tensor] = list(self._copy.parameters())
            theirs: list[Tensor] = list(model.parameters())
            torch._foreach_lerp_(ours, theirs, share)
            for mine, yours in zip(self._copy.buffers(), model.buffers(), strict=True):
                mine.lerp_(yours, share) if mine.is_floating_point() else mine.copy_(yours)
        return model

    def evaluate(self, model: nn.Module) -> nn.Module:
        """The averaged network stands in for the raw one."""
        return self._copy

    def state_dict(self) -> dict[str, Any]:
        """The averaged weights and buffers."""
        return dict(self._copy.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put saved averages back."""
        self._copy.load_state_dict(state)


@card(
    "weight_ema",
    family="averaging",
    seams=("weights", "evaluate"),
    stage="average",
    live=True,
    when="Almost always: smoother and often better scores for one extra copy of the weights.",
    beware="All scores shown are those of the average. A decay too near 1 for a short run stays near the start.",
    source="Polyak & Juditsky 1992; Tarvainen & Valpola 2017, arXiv 1703.01780",
)
class WeightEma(Toggle):
    """Average the weights over the steps and score the average."""

    decay: float = knob(0.999, low=0.5, below=1, help="share of the average that is kept at each step")
    warmup: bool = knob(True, help="start with a smaller decay, (1 + t) / (10 + t), so that the start is forgotten")

    def plug(self, parts: Parts) -> Average:
        """A copy of the network that follows it."""
        return Average(self, parts.model)
