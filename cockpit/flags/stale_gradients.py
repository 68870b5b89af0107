"""Gradients that are left over from the step before, and loops that stand still."""

from typing import ClassVar

import numpy as np

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Sign
from cockpit.flags._shared import gap
from cockpit.runs.events import Remedy
from cockpit.runs.history import History

WINDOW = 64
"""Steps that are looked at for a gap: more than lie between two looks."""
LOOKS = 5
"""Measured steps that are judged together."""

ZERO = Remedy(label="call optimizer.zero_grad() once for each update, before its first backward pass")


@card(
    "stale_gradients",
    when="A loop of your own: zero_grad() is forgotten, or stands in the wrong place.",
    beware="Accumulation adds gradients on purpose: only what is left over at the first pass of an update counts.",
    source="PyTorch, Optimizer.zero_grad; the gap after Amazon SageMaker Debugger, rule StalledTrainingRule",
)
class StaleGradients(Flag):
    """Gradients stand in the weights before an update's first backward pass. A pause between two steps is a note."""

    moment: ClassVar[Moment] = "rows"
    needed: ClassVar[int] = 1
    of_last: ClassVar[int] = 1
    quiet: ClassVar[int] = 8

    count: int = knob(3, low=2, high=LOOKS, help=f"of the last {LOOKS} measured steps that began with an old gradient")
    seconds: float = knob(30.0, above=0, high=1e6, help="a note where two steps lie so far apart, evaluations left out")
    times: float = knob(10.0, above=1, high=1e6, help="and so many times as far as usual")

    def look(self, history: History) -> Sign | None:
        """Looks at the last measured steps, then at the clock."""
        rows = history.steps[-(LOOKS * gap(history) + WINDOW) :]
        stale = rows["stale"][~np.isnan(rows["stale"])][-LOOKS:]
        old = np.count_nonzero(stale > 0)
        if old >= self.count:
            return Sign(
                severity="warning",
                headline=f"the gradient of the step before was still there at {old} of {len(stale)} steps",
                why="Each step then adds all gradients so far: it grows without end and points where the weights once were.",
                evidence={"measured steps": float(len(stale)), "with an old gradient": float(old)},
                remedies=(ZERO,),
                conclusive=True,
            )
        return self._stalled(history)

    def _stalled(self, history: History) -> Sign | None:
        times = history.steps["time"][-WINDOW:]
        gaps = np.diff(times[~np.isnan(times)])
        if len(gaps) < LOOKS:
            return None
        longest, usual = float(gaps.max()), float(np.median(gaps))
        if not longest > max(self.seconds, self.times * usual) * (1 + 1e-6):
            return None
        step = int(history.steps["step"][-len(gaps) + int(np.argmax(gaps))])
        return Sign(
            severity="info",
            headline=f"{longest:.0f} s before step {step:,}, where a step takes {usual:.2g} s",
            why="Something held the loop up: the loading of data, a full disk, or another program.",
            evidence={"seconds": longest, "usual": usual, "step": float(step)},
        )
