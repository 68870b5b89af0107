"""A learning rate so low that the run ends before the network has learned."""

import math
from typing import ClassVar, NamedTuple

import numpy as np

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Sign
from cockpit.flags._curves import largest_ratio, lr_curve, restarted, slope, to_learn, wanted_ratio
from cockpit.flags._plateaus import rests_at_chance
from cockpit.flags._shared import Floats, base_lr, change_lr, has, last_losses, learned, planned, rising
from cockpit.runs.events import Evaluated, Remedy
from cockpit.runs.history import History

MOST = 2000
"""Steps that the trend is taken from, at most."""


class Trend(NamedTuple):
    """Where the loss is and where a straight line would take it by the end of the run."""

    now: float
    end: float


@card(
    "lr_too_low",
    when="The loss falls slowly and smoothly: the weights hardly move, and the run will be over before they have.",
    beware="Fine-tuning needs small steps, a warm-up begins with them and a decay ends with them.",
    source="Ben Braiek and Khomh 2023, TheDeepChecker (TOSEM), update ratios; calibrated on our cases",
)
class LrTooLow(Flag):
    """In the whole run the weights will move by a small share of their size, and the loss will still be high at its end.

    The way the weights can go is at most the update ratio times the steps of the run. The loss at the end is that of a
    straight line through the recent losses, which is kind: most curves flatten. On a plateau it is not, and tells nothing.
    """

    moment: ClassVar[Moment] = "evaluation"
    needed: ClassVar[int] = 1
    of_last: ClassVar[int] = 1
    quiet: ClassVar[int] = 4
    causes: ClassVar[tuple[str, ...]] = (
        "non_finite",
        "bad_initial_loss",
        "dead_relu",
        "vanishing_gradient",
        "saturated_activation",
        "symmetric_init",
        "output_loss_mismatch",
        "input_scale",
        "frozen_parameters",
        "lr_too_high",
        "wasted_compute",
    )

    way: float = knob(
        0.15, above=0, high=10, help="share of their size that the weights will move in the run, below which it looks"
    )
    left: float = knob(0.4, above=0, below=1, help="share of what is to be learned that will be left at the end")
    high: float = knob(0.5, low=0, high=1, help="share of the largest rate so far, below which a decay is left to end")
    share: float = knob(0.1, above=0, below=1, help="share of the run, and an epoch, before it judges")

    def look(self, history: History) -> Sign | None:
        """Warning where the run is headed for failure."""
        seen = largest_ratio(history)
        if not self._ready(history) or not seen > -9:
            return None
        way = 10**seen * planned(history)
        certain = way < self.way / 3
        if not certain and rests_at_chance(history):
            return None
        trend = _trend(history, certain=certain)
        if not way < self.way * (1 - 1e-6) or trend is None or learned(history):
            return None
        floor = history.started.loss_floor if history.started else 0.0
        if not trend.end - floor > self.left * to_learn(history) * (1 + 1e-6):
            return None
        return Sign(
            severity="warning",
            headline=f"at most {way:.1%} of their size is all that the weights move in this run; loss {trend.now:.3g}",
            why="The loss falls, but the run will be over long before the network has learned.",
            evidence={"loss": trend.now, "loss at the end": trend.end, "log10 update ratio": seen, "lr": base_lr(history)},
            remedies=_remedies(history, 10 ** (wanted_ratio(history) - seen)),
        )

    def _ready(self, history: History) -> bool:
        started = history.started
        if started is None or not started.total_steps or not len(history.steps):
            return False
        if rising(history) or restarted(history):
            return False
        rates = lr_curve(history)
        if rates[-1] < self.high * rates.max():
            return False
        begun = max(started.steps_per_epoch, self.share * started.total_steps)
        return history.step >= started.warmup_steps + begun and not has(history, "mixes") and not has(history, "no_labels")


def _trend(history: History, *, certain: bool) -> Trend | None:
    """The line through the later half of the losses, as steep as its error allows; None where the loss does not fall.

    Weights that go a third of the way that is too short already, whatever the noise: then it is enough that the loss does
    not rise.
    """
    started = history.started
    past = history.step - (started.warmup_steps if started else 0)
    losses = last_losses(history, min(MOST, max(past // 2, 20)))
    if len(losses) < 20 or not np.isfinite(losses).all():
        return None
    line = slope(losses)
    steep = line.value - line.error
    if steep >= 0 or not (certain or line.value < -3 * line.error or _clean_falls(history.evaluations)):
        return None
    now = float(losses.mean()) + steep * len(losses) / 2
    return Trend(now, now + steep * (planned(history) - history.step))


def _clean_falls(seen: list[Evaluated]) -> bool:
    """Whether the loss on the clean probe, which has no noise of batches, fell from each of three or more evaluations on."""
    losses: Floats = np.array([one.train_loss for one in seen[-5:]])
    return len(losses) > 2 and bool((np.diff(losses) < 0).all())


def _remedies(history: History, factor: float) -> tuple[Remedy, ...]:
    """The rate that lets the weights travel as far as they are long; then a third of that, then more time."""
    whole = float(f"{min(max(factor, 3.0), 100.0):.1g}")
    epochs = history.started.epochs if history.started else 0
    longer = Remedy(label=f"train {4 * epochs} epochs", edits=(("train.epochs", str(4 * epochs)),), since="start")
    both = tuple(edit for one in (*change_lr(history, whole, since="start"), longer) for edit in one.edits)
    rest = (
        (Remedy(label=f"raise the rate, and train {4 * epochs} epochs", edits=both, since="start"),) if len(both) == 2 else ()
    )
    known = epochs > 0 and math.isfinite(factor)
    return change_lr(history, whole, since="now") + ((*rest, longer) if known else ())
