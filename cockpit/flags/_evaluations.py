"""What rules about evaluations share: chance on the validation images, what still improves, units that were looked at."""

import math

import numpy as np

from cockpit.flags._shared import PROGRESS, accuracy_error, has, learnable, planned, progressing, settled
from cockpit.runs.events import Evaluated
from cockpit.runs.history import History
from cockpit.runs.tables import Rows, rows_of

FEW = 50
"""An accuracy over fewer validation images says next to nothing."""
SEEN = 6
"""Fewer evaluations do not show whether scores still rise."""


def classifies(history: History) -> bool:
    """Whether accuracies mean something here, and what a guess earns is known."""
    return history.started is not None and not has(history, "no_labels") and math.isfinite(history.started.chance_accuracy)


def val_chance(history: History) -> float:
    """Share of the largest class of the validation images; of the training images where that is not known."""
    if history.started is None:
        return math.nan
    counts = history.started.data.val_counts
    return max(counts) / sum(counts) if sum(counts) else history.started.chance_accuracy


def known(accuracy: float, chance: float) -> float:
    """The share of what there is to know: 0 for a guess by class shares, 1 where every image is right."""
    return (accuracy - chance) / max(1 - chance, 1e-9)


def train_error(seen: Evaluated) -> float:
    """The standard error of the accuracy on the clean training images."""
    return accuracy_error(seen.train_accuracy, seen.probe_size)


def val_error(seen: Evaluated) -> float:
    """The standard error of the validation accuracy."""
    return accuracy_error(seen.val_accuracy, seen.val_size)


def difference_error(seen: Evaluated) -> float:
    """The standard error of the difference between the two accuracies."""
    return math.hypot(train_error(seen), val_error(seen))


def agree(seen: Evaluated) -> bool:
    """Whether training is ahead of validation by no more than twice the error of the difference."""
    return seen.train_accuracy - seen.val_accuracy <= 2 * difference_error(seen) + 1e-6


def improving(history: History) -> bool:
    """Whether the scores still rise: over the last evaluations, or over a tenth of the run where that is more.

    The loss on the clean training images fell by PROGRESS of what is learnable, or an accuracy rose by more than twice the
    error of a difference. Too few evaluations to tell count as improving.
    """
    epochs = planned(history) // max(history.started.steps_per_epoch, 1) if history.started else 0
    window = history.evaluations[-max(SEEN, epochs // 10 + 1) :]
    if len(window) < SEEN:
        return True
    half = len(window) // 2
    old, new = window[:half], window[-half:]
    fall = float(np.mean([one.train_loss for one in old]) - np.mean([one.train_loss for one in new]))
    if fall > PROGRESS * learnable(history):
        return True
    error = max(train_error(window[-1]), val_error(window[-1])) * math.sqrt(2 / half)
    rises = (
        np.mean([getattr(one, name) for one in new]) - np.mean([getattr(one, name) for one in old])
        for name in ("train_accuracy", "val_accuracy")
    )
    return any(rise > 2 * error for rise in rises)


def stalled(history: History) -> bool:
    """Whether the training loss no longer falls; not known, and so False, where chance is unknown."""
    return math.isfinite(learnable(history)) and not progressing(history)


def resting(history: History) -> bool:
    """Whether neither the training loss nor the scores move any more, and the start is over."""
    return settled(history) and stalled(history) and not improving(history)


def unit_rows(history: History, column: str, step: int) -> Rows:
    """The rows of the layers in which an evaluation at that step measured a column such as `saturated`."""
    rows = rows_of(history.layers, step)
    measured: Rows = rows[~np.isnan(rows[column])]
    return measured


def layer_name(history: History, layer: int) -> str:
    """A layer as the screen calls it."""
    layers = history.started.layers if history.started else ()
    return layers[layer].name if layer < len(layers) else f"layer {layer}"
