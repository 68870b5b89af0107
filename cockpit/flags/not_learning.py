"""A network that stays at chance."""

import math
from typing import ClassVar

import numpy as np

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Sign
from cockpit.flags._curves import ratio
from cockpit.flags._plateaus import WHY, plateau_end, waiting
from cockpit.flags._shared import (
    base_lr,
    change_lr,
    guessing,
    last_evaluation,
    last_losses,
    learnable,
    mean,
    planned,
    progressing,
    setting,
    settled,
    significantly_less,
)
from cockpit.runs.events import Evaluated, Remedy
from cockpit.runs.history import History

LARGE = -2.0
"""Log10 of an update ratio from which on a lower rate is likelier to help than a higher one."""
SLOW = 0.002
"""A fall by this share of what is learnable from one half of the window to the other, beyond the noise, is slow learning."""
CONSTANT = 0.1
"""The margin where every image gets one answer: under an absolute error a constant answer earns less than the class shares."""
LOST = "The network has learned nothing about the images; more epochs of the same will not change that."
FLAT = ("mae", "mse", "huber")
"""Losses with next to no slope where an answer is wrong and sure."""


@card(
    "not_learning",
    when="After the first epoch: a network that knows no more than the class shares has a fault, not bad luck.",
    beware="Some deep networks rest on a plateau before they fall; many classes and few epochs look alike.",
    source="Karpathy 2019, A recipe for training neural networks; thresholds calibrated on our cases",
)
class NotLearning(Flag):
    """Loss and clean training accuracy are those of a guess by class shares, and the loss does not fall.

    For the first 2,000 steps, or 30 % of the run, a note while gradients and updates are alive: it may be a plateau.
    """

    moment: ClassVar[Moment] = "evaluation"
    needed: ClassVar[int] = 3
    of_last: ClassVar[int] = 4
    quiet: ClassVar[int] = 4
    causes: ClassVar[tuple[str, ...]] = (
        "non_finite",
        "dead_relu",
        "exploding_gradient",
        "vanishing_gradient",
        "bad_initial_loss",
        "frozen_parameters",
        "input_scale",
        "lr_too_high",
        "lr_too_low",
        "output_loss_mismatch",
        "symmetric_init",
        "wasted_compute",
    )

    steps: int = knob(200, low=20, high=1_000_000, help="steps before it judges; in short runs a quarter of the run")
    margin: float = knob(0.02, above=0, below=1, help="share of what is learnable by which the loss must be below chance")

    def look(self, history: History) -> Sign | None:
        """Warning at chance, critical where the loss is far above it; a note while it may be a plateau."""
        started, seen = history.started, last_evaluation(history)
        if started is None or seen is None or not math.isfinite(started.chance_loss) or not settled(history):
            return None
        window = max(started.steps_per_epoch, min(self.steps, planned(history) // 4))
        if history.step < started.warmup_steps + window:
            return None
        if not guessing(history, seen):
            return None
        losses = last_losses(history, min(window, 1000))
        if len(losses) < 4 or not np.isfinite(losses).all():
            return None
        now, chance = mean(losses), started.chance_loss
        margin = max(self.margin, CONSTANT) if _one_answer(seen, started.chance_accuracy) else self.margin
        if now.value < chance - margin * learnable(history) or progressing(history):
            return None
        half = len(losses) // 2
        if significantly_less(mean(losses[half:]), mean(losses[:half]), SLOW * learnable(history)):
            return None
        waits = waiting(history)
        return Sign(
            severity="critical" if now.value > 1.5 * chance else "info" if waits else "warning",
            headline=f"loss {now.value:.3g} after {history.step:,} steps; guessing by class shares earns {chance:.3g}",
            why=WHY.format(plateau_end(history)) if waits else LOST,
            evidence={
                "loss": now.value,
                "chance": chance,
                "clean training accuracy": seen.train_accuracy,
                "log10 update ratio": ratio(history),
                "lr": base_lr(history),
            },
            remedies=_remedies(history, now.value > 1.1 * chance or ratio(history) > LARGE),
        )


def _one_answer(seen: Evaluated, largest: float) -> bool:
    """Whether all validation images fall into one class, and the classes are too even for that."""
    return seen.largest_class_share > 0.99 and largest < 0.6


def _remedies(history: History, too_fast: bool) -> tuple[Remedy, ...]:
    lower, higher = change_lr(history, 0.1), change_lr(history, 10.0) if base_lr(history) <= 1 else ()
    if setting(history, "loss.name") in FLAT and not too_fast:
        edits = (("loss", "cross_entropy"), *(edit for remedy in higher for edit in remedy.edits))
        higher = (Remedy(label="train with the cross-entropy, at ten times the rate", edits=edits, since="start"), *higher)
    sweep = Remedy(label="try learning rates a factor of 3 apart on a few hundred images, until they can be learned by heart")
    return (lower + higher if too_fast else higher + lower) + (sweep,)
