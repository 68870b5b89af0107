"""Schedules that only fall."""

from __future__ import annotations

import math
from typing import Literal

from cockpit.cards import card, knob
from cockpit.families import Schedule
from cockpit.travel import Clock
from cockpit.tricks.schedules.shapes import LATE, MOVING, line, since_warm_up


@card(
    "constant",
    when="Quick looks, range tests, and tricks that average the weights instead of lowering the rate.",
    beware="The last percent of accuracy usually comes from lowering the rate.",
    source="Robbins & Monro 1951, who ask for a rate that falls",
)
class Constant(Schedule):
    """The rate stays."""

    @property
    def traits(self) -> tuple[str, ...]:
        """A warm-up moves the rate too."""
        return MOVING if self.warmup_epochs > 0 else ()

    def shape(self, progress: float, clock: Clock) -> float:
        """1."""
        return 1.0


@card(
    "step",
    tags=(*MOVING, "rate_drops"),
    when="Long runs, to repeat classic recipes.",
    beware="Counts epochs from the first step of the run, warm-up included; nothing happens in a run shorter than `every`.",
    source="He et al. 2016, arXiv 1512.03385",
)
class Step(Schedule):
    """Multiply the rate by gamma every so many epochs."""

    every: float = knob(30.0, above=0, live=True, help="epochs between two drops")
    gamma: float = knob(0.1, above=0, below=1, live=True, help="factor at each drop")

    def shape(self, progress: float, clock: Clock) -> float:
        """gamma ** floor(epoch / every)."""
        return self.gamma ** math.floor(clock.epoch / self.every + 1e-9)


@card(
    "multistep",
    tags=(*MOVING, "rate_drops"),
    when="Classic recipes with a few chosen drops.",
    beware="The milestones are shares of the run, not epochs.",
    source="He et al. 2016, arXiv 1512.03385",
)
class MultiStep(Schedule):
    """Multiply the rate by gamma at chosen points of the run."""

    milestones: tuple[float, ...] = knob((0.5, 0.75), low=0, high=1, live=True, help="shares of the run at which it drops")
    gamma: float = knob(0.1, above=0, below=1, live=True, help="factor at each drop")

    def shape(self, progress: float, clock: Clock) -> float:
        """gamma ** (milestones passed)."""
        return self.gamma ** sum(milestone <= progress for milestone in self.milestones)


@card(
    "exponential",
    tags=MOVING,
    when="A steady decay whose end is known.",
    beware="Spends much of the run at small rates; cosine stays high for longer.",
    source="arXiv 2103.06877",
)
class Exponential(Schedule):
    """Fall by the same factor every step, down to a share of the full rate."""

    final: float = knob(0.02, above=0, below=1, live=True, help="share of the full rate at the end")

    def shape(self, progress: float, clock: Clock) -> float:
        """final ** progress."""
        return math.pow(self.final, progress)


@card(
    "inv_sqrt",
    tags=MOVING,
    when="The length of the run is not known: it never reaches 0, and transformers are used to it.",
    beware="Counts from the end of the warm-up. Where the end of the run is known, linear and cosine do better.",
    source="Vaswani et al. 2017, arXiv 1706.03762, section 5.3",
    slide="The slide calls 1/sqrt(t + 1) the 1/t decay; the true 1/t is `inv_time`.",
)
class InverseSqrt(Schedule):
    """Divide the rate by the square root of the time."""

    unit: Literal["epoch", "step"] = knob("epoch", live=True, help="in what the time is counted")
    k0: float = knob(0.0, low=0, live=True, help="time that counts as gone at the start, so that the first fall is gentler")

    def shape(self, progress: float, clock: Clock) -> float:
        """1 / sqrt(t + 1 + k0)."""
        return 1 / math.sqrt(since_warm_up(self, self.unit, clock) + 1 + self.k0)


@card(
    "inv_time",
    tags=MOVING,
    when="To see the classic proof at work: the rates sum to infinity, their squares do not.",
    beware="Counts from the end of the warm-up. With k as small as 0.01, count in steps or nothing much happens.",
    source="Robbins & Monro 1951; Bottou 2012, Stochastic gradient descent tricks",
)
class InverseTime(Schedule):
    """Divide the rate by 1 + k times the time."""

    k: float = knob(0.01, low=0, live=True, help="how fast it falls: after 1/k units of time the rate is halved")
    unit: Literal["epoch", "step"] = knob("epoch", live=True, help="in what the time is counted")

    def shape(self, progress: float, clock: Clock) -> float:
        """1 / (1 + k t)."""
        return 1 / (1 + self.k * since_warm_up(self, self.unit, clock))


@card(
    "linear",
    tags=LATE,
    when="As good as cosine in short runs, and simpler.",
    beware="A run that is cut short never sees the small rates.",
    source="Goodfellow et al. 2016, Deep Learning, section 8.3.1",
)
class Linear(Schedule):
    """A straight line from the full rate to a share of it."""

    min: float = knob(0.0, low=0, below=1, live=True, help="share of the full rate at the end")

    def shape(self, progress: float, clock: Clock) -> float:
        """1 - (1 - min) progress."""
        return line(1.0, self.min, progress)


@card(
    "polynomial",
    tags=LATE,
    when="To choose how fast the rate falls: power 1 is linear, more falls earlier.",
    beware="Large powers spend most of the run at small rates.",
    source="Chen et al. 2016, arXiv 1606.00915",
)
class Polynomial(Schedule):
    """(1 - progress) to a power, down to 0."""

    power: float = knob(2.0, low=0.5, high=5, live=True, help="the power")

    def shape(self, progress: float, clock: Clock) -> float:
        """(1 - progress) ** power."""
        return math.pow(1 - progress, self.power)


@card(
    "wsd",
    tags=LATE,
    when="The length of the run is not settled: it can be extended at any time before the decay.",
    beware="Accuracy looks poor until the decay begins.",
    source="Hu et al. 2024, arXiv 2404.06395",
)
class Wsd(Schedule):
    """Warm-up, stable, decay: the full rate for most of the run, then a straight line down."""

    decay_frac: float = knob(0.2, above=0, high=1, live=True, help="share of the run, after the warm-up, that falls")
    min: float = knob(0.0, low=0, below=1, live=True, help="share of the full rate at the end")

    def shape(self, progress: float, clock: Clock) -> float:
        """1, and then a line to min over the last decay_frac."""
        return line(1.0, self.min, max(0.0, (progress - 1 + self.decay_frac) / self.decay_frac))
