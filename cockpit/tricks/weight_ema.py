"""An exponential moving average of the weights, scored in place of the raw ones."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Moment, Parts

if TYPE_CHECKING:
    from torch import Tensor, nn


class Average:
    """The averaged copy of a network."""

    def __init__(self, settings: WeightEma, model: nn.Module, notes: tuple[str, ...] = ()) -> None:
        self.notes = notes
        self._settings = settings
        self._copy = copy.deepcopy(model).eval().requires_grad_(False)
        self._copy.zero_grad()

    def weights(self, model: nn.Module, at: Moment) -> nn.Module:
        """Move the average towards the weights that the optimizer just left, where it is due."""
        done = at.clock.step + 1
        if done % self._settings.every == 0:
            warm = (1 + done) / (10 + done) if self._settings.warmup else 1.0
            self._follow(model, 1 - min(self._settings.decay, warm) ** self._settings.every)
        return model

    def _follow(self, model: nn.Module, share: float) -> None:
        import torch

        average = self._settings.buffers == "average"
        with torch.no_grad():
            ours: list[Tensor] = list(self._copy.parameters())
            theirs: list[Tensor] = list(model.parameters())
            torch._foreach_lerp_(ours, theirs, share)
            for mine, yours in zip(self._copy.buffers(), model.buffers(), strict=True):
                mine.lerp_(yours, share) if average and mine.is_floating_point() else mine.copy_(yours)

    def evaluate(self, model: nn.Module) -> nn.Module:
        """The averaged network stands in for the raw one, unless the raw one is to be scored."""
        return self._copy if self._settings.score == "ema" else model

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
    tags=("averages",),
    when="Almost always: smoother and often better scores for one extra copy of the weights.",
    beware="1 / (1 - decay) steps are averaged: more than a third of the run, and the score is that of an unfinished network. "
    "A larger batch wants a smaller decay.",
    source="Polyak & Juditsky 1992; Tarvainen & Valpola 2017, arXiv 1703.01780",
)
class WeightEma(Toggle):
    """Average the weights over the steps and score the average."""

    decay: float = knob(0.999, low=0.9, high=0.99999, help="share of the average that is kept over one step")
    warmup: bool = knob(True, help="start with a smaller decay, (1 + t) / (10 + t), so that the start is forgotten")
    every: int = knob(1, low=1, high=1000, help="steps between two updates, which then count for as many")
    buffers: Literal["average", "copy"] = knob("average", help="average batch norm's statistics too, or take them as they are")
    score: Literal["ema", "raw"] = knob("ema", help="the weights that are scored and kept; raw only lets the average run along")

    def plug(self, parts: Parts) -> Average:
        """A copy of the network that follows it."""
        return Average(self, parts.model, self._notes(parts.total_steps))

    def _notes(self, total_steps: int) -> tuple[str, ...]:
        memory = 1 / (1 - self.decay)
        if self.score == "raw" or memory <= total_steps / 3:
            return ()
        short = 1 - 3 / max(total_steps, 6)
        return (f"decay {self.decay:g} remembers {memory:,.0f} of {total_steps:,} steps; {short:.3g} fits this run better",)
