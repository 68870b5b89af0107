"""Schedules: closed forms of the step. The base does the warm-up, and the shapes run over the steps that remain."""

from __future__ import annotations

import math
from typing import Literal

from cockpit.cards import card, knob
from cockpit.families import Schedule
from cockpit.travel import Clock


def _glide(start: float, end: float, progress: float) -> float:
    """Half a cosine from start to end."""
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def _line(start: float, end: float, progress: float) -> float:
    return start + (end - start) * progress


@card(
    "constant",
    when="Quick looks, range tests, and tricks that average the weights instead of lowering the rate.",
    beware="The last percent of accuracy usually comes from lowering the rate.",
    source="Robbins & Monro 1951, who ask for a rate that falls",
)
class Constant(Schedule):
    """The rate stays."""

    def shape(self, progress: float, clock: Clock) -> float:
        """1."""
        return 1.0


@card(
    "step",
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
    "cosine",
    when="First choice when the length of the run is known.",
    beware="A run that is cut short never sees the small rates where most of the accuracy is won.",
    source="Loshchilov & Hutter 2017, arXiv 1608.03983",
)
class Cosine(Schedule):
    """Half a cosine from the full rate to a share of it."""

    min: float = knob(0.0, low=0, below=1, live=True, help="share of the full rate at the end")

    def shape(self, progress: float, clock: Clock) -> float:
        """min + (1 - min) (1 + cos(pi progress)) / 2."""
        return _glide(1.0, self.min, progress)


@card(
    "linear",
    when="As good as cosine in short runs, and simpler.",
    beware="A run that is cut short never sees the small rates.",
    source="Goodfellow et al. 2016, Deep Learning, section 8.3.1",
)
class Linear(Schedule):
    """A straight line from the full rate to a share of it."""

    min: float = knob(0.0, low=0, below=1, live=True, help="share of the full rate at the end")

    def shape(self, progress: float, clock: Clock) -> float:
        """1 - (1 - min) progress."""
        return _line(1.0, self.min, progress)


@card(
    "polynomial",
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
    "one_cycle",
    when="Short runs with a large rate.",
    beware="Has a rise of its own, so warmup_epochs is ignored. lr is the peak. Momentum is not cycled.",
    source="Smith & Topin 2017, arXiv 1708.07120",
)
class OneCycle(Schedule):
    """Rise to the full rate, then fall far below the start."""

    pct_start: float = knob(0.3, above=0, below=1, live=True, help="share of the run that rises")
    div: float = knob(25.0, low=1, live=True, help="the full rate is so many times the first")
    final_div: float = knob(1e4, low=1, live=True, help="the first rate is so many times the last")
    anneal: Literal["cos", "linear"] = knob("cos", live=True, help="half a cosine, or a straight line")

    def factor(self, clock: Clock) -> float:
        """The shape over all steps of the run."""
        return self.shape(clock.step / max(1, clock.total), clock)

    def shape(self, progress: float, clock: Clock) -> float:
        """From 1/div to 1 until step pct_start * total - 1, then to 1/(div final_div) at the last step."""
        move = _glide if self.anneal == "cos" else _line
        step, peak = progress * clock.total, self.pct_start * clock.total - 1
        if step < peak:
            return move(1 / self.div, 1.0, step / peak)
        return move(1.0, 1 / (self.div * self.final_div), (step - peak) / (clock.total - 1 - peak))


@card(
    "wsd",
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
        return _line(1.0, self.min, max(0.0, (progress - 1 + self.decay_frac) / self.decay_frac))
