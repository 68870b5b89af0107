"""The one schedule that is no function of the step: it answers to the validation loss."""

from __future__ import annotations

import math
from typing import Any

from cockpit.cards import card, knob
from cockpit.families import Schedule
from cockpit.travel import Clock, Moment, Parts, Verdict
from cockpit.tricks.schedules.shapes import MOVING


class Stalls:
    """Counts the evaluations that brought nothing, and the drops so far."""

    def __init__(self, settings: Plateau) -> None:
        self._settings = settings
        self._scale, self._best, self._wait = 1.0, math.inf, 0

    def schedule(self, lr: float, at: Moment) -> float:
        """The rate times all drops so far."""
        return lr * self._scale

    def verdict(self, verdict: Verdict) -> Verdict:
        """Note the loss; a loss that is no number counts as no improvement."""
        if verdict.val_loss < self._best:
            self._best, self._wait = verdict.val_loss, 0
        else:
            self._wait += 1
        if self._wait > self._settings.patience:
            self._scale, self._wait = self._scale * self._settings.gamma, 0
        return verdict

    def state_dict(self) -> dict[str, Any]:
        """Drops so far, the best loss, and how long it has waited."""
        return {"scale": self._scale, "best": self._best, "wait": self._wait}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._scale, self._best, self._wait = state["scale"], state["best"], state["wait"]


@card(
    "plateau",
    tags=MOVING,
    seams=("schedule", "verdict"),
    when="Nobody knows how long the run should be: the rate goes down when the validation loss no longer does.",
    beware="It cannot be drawn before the run: the curve shown is flat. Choosing by the validation loss leaks a little of it.",
    source="torch.optim.lr_scheduler.ReduceLROnPlateau; He et al. 2016, arXiv 1512.03385",
)
class Plateau(Schedule):
    """Multiply the rate by a factor when the validation loss stalls."""

    gamma: float = knob(0.1, above=0, below=1, live=True, help="factor at each drop")
    patience: int = knob(10, low=0, high=1000, live=True, help="evaluations without a lower loss that are let pass")

    def shape(self, progress: float, clock: Clock) -> float:
        """1: the drops come on top, at their seam."""
        return 1.0

    def plug(self, parts: Parts) -> Stalls:
        """A counter."""
        return Stalls(self)
