"""Scores that swing from one evaluation to the next."""

import math
from typing import ClassVar

import numpy as np

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Sign
from cockpit.flags._curves import done, restarted
from cockpit.flags._shared import Floats, accuracy_error, base_lr, change_lr, has, planned, setting, switch_on
from cockpit.runs.events import Evaluated, Remedy
from cockpit.runs.history import History

FEWEST = 6
"""Evaluations that make a swing and a trend."""


@card(
    "oscillating",
    when="Late in a run at a constant rate the validation accuracy jumps up and down: how good it ends is luck.",
    beware="Few validation images and batches of a few images jump by themselves, restarts are meant to.",
    source="Zhang et al. 2021, AutoTrainer (ICSE), swings of 0.03 in a fifth of the epochs; the noise of the images is ours",
)
class Oscillating(Flag):
    """The validation accuracy swings about its trend by far more than the choice of the images explains.

    Over the last third of the evaluations, in the later half of a run whose rate stays. A note where most is learned.
    """

    moment: ClassVar[Moment] = "evaluation"
    needed: ClassVar[int] = 2
    of_last: ClassVar[int] = 3
    quiet: ClassVar[int] = 4
    causes: ClassVar[tuple[str, ...]] = (
        "non_finite",
        "exploding_gradient",
        "input_scale",
        "labels_or_split_broken",
        "lr_too_high",
        "over_regularised",
        "stale_gradients",
        "train_eval_gap",
    )

    swing: float = knob(0.03, above=0, below=1, help="change of the accuracy between two evaluations that is a swing")
    share: float = knob(0.2, above=0, high=1, help="share of the evaluations that swing; two of them down")
    noise: float = knob(3.0, low=1, high=100, help="times the standard error of the accuracy by which it must vary")
    batch: int = knob(8, low=0, high=1000, help="batches of so many images or fewer are not judged")

    def look(self, history: History) -> Sign | None:
        """Looks at the validation accuracies of the last third."""
        started, seen = history.started, _late(history)
        if started is None or len(seen) < FEWEST or started.batch_size <= self.batch or not _steady(history, seen):
            return None
        scores = np.array([one.val_accuracy for one in seen])
        changes = np.diff(scores)
        swings, drops = np.abs(changes) >= self.swing - 1e-9, changes <= -self.swing + 1e-9
        around, error = _residual(scores), accuracy_error(float(scores.mean()), seen[-1].val_size)
        if not (swings.mean() >= self.share and drops.sum() > 1 and around > self.noise * error):
            return None
        return Sign(
            severity="info" if done(history) else "warning",
            headline=f"val accuracy swings by {np.abs(changes).max():.1%} between evaluations, at a constant rate",
            why="The steps are as long as the valley is wide; what the run ends with is luck.",
            evidence={"standard deviation": around, "noise of the images": error, "lr": base_lr(history)},
            remedies=_remedies(history),
        )


def _late(history: History) -> list[Evaluated]:
    """The last third of the evaluations, FEWEST at least, in the later half of the run; none where an accuracy is unknown."""
    seen = history.evaluations[-max(FEWEST, len(history.evaluations) // 3) :]
    known = all(math.isfinite(one.val_accuracy) for one in seen)
    return seen if known and 2 * history.step >= planned(history) else []


def _steady(history: History, seen: list[Evaluated]) -> bool:
    """Whether the rate stayed over these evaluations, and never came back from a fall."""
    rates = history.steps["lr"][-(history.step - seen[0].step + 1) :][:: max(1, len(seen) // 2)]
    if not len(rates):
        return False
    low, high = float(rates.min()), float(rates.max())
    return high > 0 and low > 0.95 * high and not restarted(history)


def _residual(scores: Floats) -> float:
    """The standard deviation about a straight line."""
    at = np.arange(len(scores))
    rest = scores - np.polyval(np.polyfit(at, scores, 1), at)
    return math.sqrt(float((rest**2).sum()) / (len(scores) - 2))


def _remedies(history: History) -> tuple[Remedy, ...]:
    cosine = (Remedy(label="let the rate fall along a cosine", edits=(("schedule.name", "cosine"),), since="start"),)
    fixed = setting(history, "schedule.name") in ("constant", None) and not has(history, "no_lr")
    batch = history.started.batch_size if history.started else 0
    larger = (Remedy(label=f"use batches of {4 * batch}", edits=(("train.batch_size", str(4 * batch)),), since="start"),)
    average = switch_on(history, "weight_ema", "average the weights", "on")
    return change_lr(history, 0.3) + (cosine if fixed else ()) + average + larger
