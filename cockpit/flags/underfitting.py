"""A network that rests before it knows even its training images."""

import math
from typing import ClassVar

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Sign
from cockpit.flags._curves import lr_curve
from cockpit.flags._evaluations import agree, classifies, known, resting
from cockpit.flags._plateaus import rests_at_chance
from cockpit.flags._shared import base_lr, has, planned, setting, trick_on
from cockpit.runs.events import Remedy
from cockpit.runs.history import History


@card(
    "underfitting",
    when="Training and validation agree, and both are poor.",
    beware="Noisy labels and hard images look the same: what is missing may be the data's ceiling.",
    source="Goodfellow et al. 2016, Deep Learning, ch. 5.2; Zhang et al. 2021, AutoTrainer (ICSE); calibrated on our cases",
)
class Underfitting(Flag):
    """Loss and scores no longer move, and the clean training images are known no better than half, as are the others.

    A note, since the curves of a network that cannot learn and of data that cannot be learned are the same; a warning where you
    say which accuracy can be had.
    """

    moment: ClassVar[Moment] = "evaluation"
    needed: ClassVar[int] = 3
    of_last: ClassVar[int] = 4
    causes: ClassVar[tuple[str, ...]] = (
        *("non_finite", "input_scale", "bad_initial_loss", "output_loss_mismatch", "symmetric_init", "frozen_parameters"),
        *("dead_relu", "vanishing_gradient", "saturated_activation", "exploding_gradient", "lr_too_high", "lr_too_low"),
        *("update_ratio", "not_learning", "over_regularised", "train_eval_gap", "labels_or_split_broken", "wasted_compute"),
        *("constant_prediction", "loss_accuracy_mismatch", "oscillating"),
    )

    target: float = knob(0.5, above=0, below=1, help="share of what lies between a guess and certainty that should be known")
    wanted: float | None = knob(None, above=0, high=1, help="accuracy that you know can be had; only with it does this warn")

    def look(self, history: History) -> Sign | None:
        """The target is on the clean training images."""
        started = history.started
        if started is None or not history.evaluations or not classifies(history):
            return None
        seen = history.evaluations[-1]
        share = known(seen.train_accuracy, started.chance_accuracy)
        short = share < self.target - 1e-6 if self.wanted is None else seen.train_accuracy < self.wanted - 1e-6
        if not short or not agree(seen):
            return None
        ends = history.step >= started.total_steps > 0
        rests, rates = resting(history), lr_curve(history)
        in_decay = len(rates) > 0 and rates[-1] < 0.5 * rates.max()
        if not ends and (not rests or in_decay or rests_at_chance(history)):
            return None
        return Sign(
            severity="info" if self.wanted is None else "warning",
            headline=f"{seen.train_accuracy:.0%} of the clean training images are right"
            + (" at the end of the run" if ends else " and the loss rests")
            + f"; guessing earns {started.chance_accuracy:.0%}",
            why="The network knows neither split: it learns too slowly or cannot learn more, or this is the data's ceiling.",
            evidence={
                "clean training accuracy": seen.train_accuracy,
                "validation accuracy": seen.val_accuracy,
                "share of what there is to know": share,
            },
            remedies=_remedies(history, rests),
            conclusive=ends,
        )


def _remedies(history: History, rests: bool) -> tuple[Remedy, ...]:
    """More of the rate and of the epochs where the run still learned; fewer brakes and more network where it rests."""
    longer = _longer_and_faster(history)
    relax = tuple(
        Remedy(label=f"switch {name} off", edits=((f"tricks.{name}", "off"),))
        for name in ("dropout", "mixup", "cutmix", "l2", "l1")
        if trick_on(history, name)
    )
    bigger = (Remedy(label="take a larger network"),)
    return relax + longer + bigger if rests else longer + relax + bigger


def _longer_and_faster(history: History) -> tuple[Remedy, ...]:
    """Ten times the rate, as small as it was, and a longer run, as one remedy."""
    edits: tuple[tuple[str, str], ...] = ()
    rate, epochs = base_lr(history) * 10, setting(history, "train.epochs")
    if 0 < rate <= 1 and not has(history, "no_lr"):
        edits += (("optimizer.lr", f"{rate:.3g}"),)
    if isinstance(epochs, int) and planned(history):
        edits += (("train.epochs", str(epochs * max(2, min(20, math.ceil(1000 / planned(history)))))),)
    return (Remedy(label="train longer, at ten times the rate", edits=edits, since="start"),) if edits else ()
