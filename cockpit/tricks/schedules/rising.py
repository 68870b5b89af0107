"""Schedules with a rise of their own."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from cockpit.cards import card, knob
from cockpit.travel import Clock
from cockpit.tricks.schedules.shapes import LATE, MOVING, OwnRise, glide, line


@card(
    "one_cycle",
    tags=LATE,
    when="Short runs with a large rate.",
    beware="Has a rise of its own, so warmup_epochs is ignored. lr is the peak. Momentum is not cycled.",
    source="Smith & Topin 2017, arXiv 1708.07120",
)
class OneCycle(OwnRise):
    """Rise to the full rate, then fall far below the start."""

    pct_start: float = knob(0.3, above=0, below=1, live=True, help="share of the run that rises")
    div: float = knob(25.0, low=1, live=True, help="the full rate is so many times the first")
    final_div: float = knob(1e4, low=1, live=True, help="the first rate is so many times the last")
    anneal: Literal["cos", "linear"] = knob("cos", live=True, help="half a cosine, or a straight line")

    def shape(self, progress: float, clock: Clock) -> float:
        """From 1/div to 1 until step pct_start * total - 1, then to 1/(div final_div) at the last step."""
        move = glide if self.anneal == "cos" else line
        step, peak = progress * clock.total, self.pct_start * clock.total - 1
        if step < peak:
            return move(1 / self.div, 1.0, step / peak)
        return move(1.0, 1 / (self.div * self.final_div), (step - peak) / (clock.total - 1 - peak))


@card(
    "triangular",
    tags=MOVING,
    when="To look at many rates in one run; the classic way to find a good range.",
    beware="Has rises of its own, so warmup_epochs is ignored. End the run where a fall ends. lr is the peak.",
    source="Smith 2015, arXiv 1506.01186",
)
class Triangular(OwnRise):
    """Straight up and straight down again, over and over."""

    base: float = knob(0.1, low=0, below=1, live=True, help="share of the full rate at the low points, where it starts")
    period: float = knob(4.0, above=0, live=True, help="epochs from one low point to the next")

    def shape(self, progress: float, clock: Clock) -> float:
        """From base to 1 and back once a period."""
        return line(1.0, self.base, abs(2 * (clock.epoch / self.period % 1) - 1))


@card(
    "knots",
    tags=MOVING,
    when="A published recipe gives the rate as points on a curve, as most speed recipes do.",
    beware="The points cover the whole run, so warmup_epochs is ignored; draw the rise with them.",
    source="Page 2019, How to train your ResNet",
)
class Knots(OwnRise):
    """Straight lines between given points."""

    at: tuple[float, ...] = knob((0.0, 0.23, 1.0), low=0, high=1, live=True, help="where the points are: shares of the run")
    values: tuple[float, ...] = knob((0.2, 1.0, 0.07), low=0, live=True, help="the shares of the full rate at these points")

    def __post_init__(self) -> None:
        """ValueError where the two lists do not belong together."""
        if len(self.at) != len(self.values) or len(self.at) < 2:
            raise ValueError(
                f"knots needs as many values as points, and two or more; at has {len(self.at)}, values has {len(self.values)}"
            )
        if any(later <= earlier for earlier, later in pairwise(self.at)):
            raise ValueError(f"knots: `at` must rise from point to point; in order it is {sorted(set(self.at))}")

    def shape(self, progress: float, clock: Clock) -> float:
        """Linear between the points, level outside them."""
        points = list(zip(self.at, self.values, strict=True))
        if progress <= self.at[0]:
            return self.values[0]
        for (left, low), (right, high) in pairwise(points):
            if progress < right:
                return line(low, high, (progress - left) / (right - left))
        return self.values[-1]
