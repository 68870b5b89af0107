"""What rules about the data share: how to bring inputs to one scale, and the evaluations that look at one class."""

import math

from cockpit.flags._shared import base_lr, has, setting
from cockpit.runs.events import Remedy
from cockpit.runs.facts import Inputs
from cockpit.runs.history import History


def standardise(history: History) -> tuple[Remedy, ...]:
    """Inputs of mean 0 and deviation 1 as remedies: by a recipe's own knob, first alone and then with a smaller rate."""
    label = "subtract the mean of the training images and divide by their standard deviation, per channel"
    if setting(history, "data.standardise") != "none":
        return (Remedy(label=label, since="start"),)
    edit = ("data.standardise", "train")
    lr = base_lr(history) / 10
    if not lr > 0 or has(history, "no_lr"):
        return (Remedy(label=label, edits=(edit,), since="start"),)
    slower = Remedy(
        label=f"the same, with the learning rate at {lr:.3g}", edits=(edit, ("optimizer.lr", f"{lr:.3g}")), since="start"
    )
    return (Remedy(label=label, edits=(edit,), since="start"), slower)


def reach(inputs: Inputs) -> float:
    """The largest absolute value; NaN where nothing is known."""
    return math.nan if math.isnan(inputs.low) else max(abs(inputs.low), abs(inputs.high))
