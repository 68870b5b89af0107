"""Early stopping with the best weights restored."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cockpit.cards import card, knob
from cockpit.families import Toggle
from cockpit.travel import Verdict

if TYPE_CHECKING:
    from cockpit.travel import Parts


class Patience:
    """Counts the evaluations that brought nothing."""

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._wait = 0

    def verdict(self, verdict: Verdict) -> Verdict:
        """Ask for the best weights at any end, and for an end once patience is over."""
        self._wait = 0 if verdict.improved else self._wait + 1
        over = self._wait >= self._patience
        stop = f"no better validation score for {self._wait} evaluations" if over else verdict.stop
        return replace(verdict, stop=stop, keep_best=True)

    def state_dict(self) -> dict[str, Any]:
        """How long it has waited."""
        return {"wait": self._wait}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on waiting from there."""
        self._wait = state["wait"]


@card(
    "early_stopping",
    family="regularisation",
    seams=("verdict",),
    live=True,
    when="Validation stops improving long before training does.",
    beware="Under a cosine or one-cycle schedule it may end the run before the low rates that would have helped.",
    source="Prechelt 1998",
)
class EarlyStopping(Toggle):
    """End the run when validation no longer improves, and put the best weights back at any end."""

    patience: int = knob(5, low=1, high=200, help="evaluations without a better validation score before the run ends")

    def plug(self, parts: Parts) -> Patience:
        """A counter."""
        return Patience(self.patience)
