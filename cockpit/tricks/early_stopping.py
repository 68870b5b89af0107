"""Early stopping with the best weights restored."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Verdict

if TYPE_CHECKING:
    from cockpit.travel import Parts


class Patience:
    """Counts the evaluations that brought nothing."""

    def __init__(self, settings: EarlyStopping) -> None:
        self._settings = settings
        self._best, self._wait = math.inf, 0

    def verdict(self, verdict: Verdict) -> Verdict:
        """Ask for the best weights at any end, and for an end once patience is over."""
        self._wait = 0 if self._improved(verdict) else self._wait + 1
        over = self._wait >= self._settings.patience
        what = "score" if self._settings.metric == "score" else "loss"
        stop = f"no better validation {what} for {self._wait} evaluations" if over else verdict.stop
        return replace(verdict, stop=stop, keep_best=True)

    def _improved(self, verdict: Verdict) -> bool:
        """A loss that is no number is no improvement."""
        if self._settings.metric == "score":
            return verdict.improved
        if not verdict.val_loss < self._best - self._settings.min_delta:
            return False
        self._best = verdict.val_loss
        return True

    def state_dict(self) -> dict[str, Any]:
        """The best loss, and how long it has waited."""
        return {"best": self._best, "wait": self._wait}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on waiting from there."""
        self._best, self._wait = state["best"], state["wait"]


@card(
    "early_stopping",
    family="regularisation",
    seams=("verdict",),
    live=True,
    when="Validation stops improving long before training does.",
    beware="The weights put back are those with the best score, whatever it waits for. A NaN counts as no improvement.",
    source="Prechelt 1998",
    cautions={"low_end": "stopped early, the run never sees the small rates at the end of the schedule"},
)
class EarlyStopping(Toggle):
    """End the run when validation no longer improves, and put the best weights back at any end."""

    patience: int = knob(5, low=1, high=200, help="evaluations without improvement before the run ends")
    metric: Literal["score", "val_loss"] = knob("score", help="what must improve: the chosen score, or the validation loss")
    min_delta: float = knob(0.0, low=0, help="with val_loss: a loss that falls by no more than this is no improvement")

    def __post_init__(self) -> None:
        """ValueError where min_delta has nothing to measure."""
        if self.min_delta and self.metric == "score":
            raise ValueError("early_stopping: min_delta is a difference of losses; say metric: val_loss with it")

    def plug(self, parts: Parts) -> Patience:
        """A counter."""
        return Patience(self)
