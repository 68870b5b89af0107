"""Steps that no longer change anything."""

import math
from typing import ClassVar

import numpy as np

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Sign
from cockpit.flags._curves import done, lr_curve
from cockpit.flags._shared import has, learned, planned, rising, trick_on
from cockpit.runs.events import Remedy
from cockpit.runs.history import History

PATIENCE = 4
"""Evaluations in a row that must bring nothing better, however short the run."""
SLOWER = (
    Remedy(label="let the rate fall along a cosine, over the whole run", edits=(("schedule.name", "cosine"),), since="start"),
    Remedy(label="keep the rate constant", edits=(("schedule.name", "constant"),), since="start"),
)


@card(
    "wasted_compute",
    when="The schedule counts steps where it should count epochs, or a run goes on long after it is done.",
    beware="A schedule may end early on purpose, where the network has learned by then.",
    source="common PyTorch mistake: a scheduler with per-epoch numbers that is stepped every batch",
)
class WastedCompute(Flag):
    """The learning rate died before half of the run and before the network has learned: a warning.

    Validation scores of which none has improved for long, of a network that knows its training images, are a note.
    """

    moment: ClassVar[Moment] = "rows"
    needed: ClassVar[int] = 1
    of_last: ClassVar[int] = 1
    quiet: ClassVar[int] = 4

    dead: float = knob(1e-3, above=0, below=1, help="share of its peak below which a rate is dead")
    before: float = knob(0.5, above=0, high=1, help="share of the run before which it died")
    lasting: float = knob(0.03, above=0, below=1, help="share of the run, 5 steps at least, for which it has been dead")
    flat: float = knob(0.3, above=0, below=1, help="share of the run without any better validation score that is a note")

    def look(self, history: History) -> Sign | None:
        """A dead rate first."""
        started = history.started
        if started is None or not started.total_steps or not len(history.steps):
            return None
        return self._died(history) or self._idle(history)

    def _died(self, history: History) -> Sign | None:
        wait = max(5, math.ceil(self.lasting * planned(history)))
        peak, recent = lr_curve(history).max(), history.steps["lr"][-wait:]
        if (
            has(history, "no_lr")
            or len(recent) < wait
            or not recent[-1] < self.dead * peak
            or not 0 <= float(recent.max()) < self.dead * peak * (1 - 1e-6)
        ):
            return None
        died = _last_alive(history, self.dead * peak)
        if died >= self.before * planned(history) or done(history):
            return None
        return Sign(
            severity="warning",
            headline=f"the learning rate was gone at step {died:,} of {planned(history):,}",
            why="The steps that are left will not change the weights; often a schedule counts steps in place of epochs.",
            evidence={"lr": float(recent[-1]), "peak lr": float(peak), "step": float(died)},
            remedies=SLOWER,
        )

    def _idle(self, history: History) -> Sign | None:
        seen = history.evaluations
        if not seen or not learned(history) or rising(history):
            return None
        # What is kept as best may be better by another score, or as accurate with a lower loss.
        kept = next((number for number in range(len(seen) - 1, 0, -1) if seen[number].best), 0)
        if not self._long_ago(history, kept):
            return None
        losses, scores = (np.array([getattr(one, name) for one in seen]) for name in ("val_loss", "val_accuracy"))
        if not (np.isfinite(losses) & np.isfinite(scores)).all():
            return None
        best = max(int(np.argmin(losses)), int(np.argmax(scores)), kept)
        if not self._long_ago(history, best):
            return None
        names = dict.fromkeys(("loss", "accuracy", seen[-1].score.replace("_", " ")))
        return Sign(
            severity="info",
            headline=f"no better validation {' or '.join(names)} since epoch {seen[best].epoch}",
            why="The network knows its training images; more of the same only costs time.",
            evidence={
                "steps since": float(history.step - seen[best].step),
                "best val loss": float(losses.min()),
                "best val accuracy": float(scores.max()),
            },
            remedies=_stop(history),
        )

    def _long_ago(self, history: History, best: int) -> bool:
        """Whether nothing since the evaluation with this number was a success for too long."""
        seen = history.evaluations
        return len(seen) - best > PATIENCE and history.step - seen[best].step > self.flat * planned(history)


def _last_alive(history: History, limit: float) -> int:
    """The last step whose rate was at least the limit, to within a 256th of the run."""
    rates = history.steps["lr"]
    stride = max(1, len(rates) // 256)
    alive = np.flatnonzero(rates[::stride] >= limit)
    return int(history.steps["step"][alive[-1] * stride]) if len(alive) else 0


def _stop(history: History) -> tuple[Remedy, ...]:
    stop = (("tricks.early_stopping", "{patience: 3}"),)
    edits = () if trick_on(history, "early_stopping") else stop
    return (Remedy(label="stop, keep the best weights", edits=edits, verb="stop"),)
