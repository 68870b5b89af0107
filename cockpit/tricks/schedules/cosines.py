"""Half a cosine, once or repeated."""

from __future__ import annotations

from cockpit.cards import card, knob
from cockpit.families import Schedule
from cockpit.travel import Clock
from cockpit.tricks.schedules.shapes import LATE, MOVING, glide


@card(
    "cosine",
    tags=LATE,
    when="First choice when the length of the run is known.",
    beware="A run that is cut short never sees the small rates where most of the accuracy is won.",
    source="Loshchilov & Hutter 2017, arXiv 1608.03983",
)
class Cosine(Schedule):
    """Half a cosine from the full rate to a share of it."""

    min: float = knob(0.0, low=0, below=1, live=True, help="share of the full rate at the end")

    def shape(self, progress: float, clock: Clock) -> float:
        """min + (1 - min) (1 + cos(pi progress)) / 2."""
        return glide(1.0, self.min, progress)


@card(
    "cosine_restarts",
    tags=MOVING,
    when="Snapshots to average or to compare: each cycle ends in a good one.",
    beware="The score drops after every restart; only the weights at the end of a cycle are good.",
    source="Loshchilov & Hutter 2017, arXiv 1608.03983",
)
class CosineRestarts(Schedule):
    """Half a cosine to 0, then back to the full rate, several times."""

    cycles: int = knob(3, low=1, high=100, live=True, help="how often the rate falls")
    mult: float = knob(1.0, low=1, high=10, live=True, help="each cycle is so many times as long as the one before")
    decay: float = knob(1.0, above=0, high=1, live=True, help="each cycle starts at so large a share of the start before")

    def shape(self, progress: float, clock: Clock) -> float:
        """decay ** cycle (1 + cos(pi progress in the cycle)) / 2."""
        lengths = [self.mult**cycle for cycle in range(self.cycles)]
        place, slack, cycle = progress * sum(lengths), 1e-9 * sum(lengths), 0
        while cycle < self.cycles - 1 and place >= lengths[cycle] - slack:
            place, cycle = max(0.0, place - lengths[cycle]), cycle + 1
        return self.decay**cycle * glide(1.0, 0.0, place / lengths[cycle])
