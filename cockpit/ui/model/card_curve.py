"""The curve that a card draws of itself: an activation over its input, a schedule over the planned run."""

from typing import Any

import numpy as np

from cockpit.families import Activation, Schedule
from cockpit.recipe.values import Recipe
from cockpit.travel import Clock
from cockpit.ui.plot.series import Series
from cockpit.ui.plot.text import curve_text

STEPS = 50
"""Steps taken for an epoch where the run has not said how many it has."""
SIDE = 4.0
"""An activation is drawn from minus to plus this."""


def drawing(trick: Any, recipe: Recipe, steps_per_epoch: int | None, width: int = 72, height: int = 9) -> str:
    """The curve as lines of text; empty for a trick that has none."""
    if isinstance(trick, Schedule):
        return schedule_text(trick, recipe, steps_per_epoch or STEPS, width, height)
    return activation_text(trick, width, height) if isinstance(trick, Activation) else ""


def schedule_text(schedule: Schedule, recipe: Recipe, steps_per_epoch: int, width: int, height: int) -> str:
    """The learning rate over the epochs."""
    total = recipe.train.epochs * steps_per_epoch
    steps = np.unique(np.linspace(0, total - 1, min(total, 2 * width)).astype(int))
    rates = [recipe.optimizer.lr * schedule.factor(Clock(int(step), total, steps_per_epoch)) for step in steps]
    curve = Series("learning rate by epoch, ends at", steps.astype(float), np.array(rates))
    return curve_text([curve], width, height, x_max=float(total), x_scale=float(steps_per_epoch))


def activation_text(activation: Activation, width: int, height: int) -> str:
    """The function between -4 and 4."""
    inputs = np.linspace(-SIDE, SIDE, 2 * width)
    outputs = np.array([activation.value(float(x)) for x in inputs])
    curve = Series(f"f(x), where the axis counts from x = {-SIDE:g}; ends at", inputs + SIDE, outputs)
    return curve_text([curve], width, height, x_max=2 * SIDE)
