"""Sigmoid and tanh units that are stuck at their ends."""

import math
from typing import ClassVar

import numpy as np

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Sign
from cockpit.flags._evaluations import layer_name, stalled, unit_rows
from cockpit.flags._shared import choose, learned, setting, settled
from cockpit.flags._stacks import normed
from cockpit.runs.events import Remedy
from cockpit.runs.history import History


@card(
    "saturated_activation",
    when="A sigmoid or tanh network learns slowly or not at all: inputs or weights are too large.",
    beware="Late in training confident units are stuck by right, and gates are meant to be.",
    source="Glorot and Bengio 2010, AISTATS; Rakitianskaia and Engelbrecht 2015, IEEE SSCI",
)
class SaturatedActivation(Flag):
    """Most units of a layer have next to no slope on nearly every image, and the loss does not fall.

    A layer that was stuck before the first step and still is needs one look. While the loss falls, it is a note.
    """

    moment: ClassVar[Moment] = "evaluation"
    needed: ClassVar[int] = 2
    of_last: ClassVar[int] = 3
    causes: ClassVar[tuple[str, ...]] = ("non_finite", "input_scale", "bad_initial_loss")

    share: float = knob(0.5, above=0, below=1, help="share of stuck units in a layer above which to warn")

    def look(self, history: History) -> Sign | None:
        """Judges the worst layer at the last evaluation."""
        if not history.evaluations or not settled(history) or learned(history):
            return None
        rows = unit_rows(history, "saturated", history.evaluations[-1].step)
        sick = rows[rows["saturated"] > self.share + 1e-6]
        if not len(sick):
            return None
        worst = sick[np.argmax(sick["saturated"])]
        before = unit_rows(history, "saturated", 0)
        then = before["saturated"][before["layer"] == worst["layer"]]
        from_start = len(then) > 0 and bool(then[0] > self.share + 1e-6)
        name = layer_name(history, int(worst["layer"]))
        return Sign(
            severity="warning" if stalled(history) else "info",
            headline=f"{worst['saturated']:.0%} of the units of {name} are stuck at their ends"
            + (", as they were before the first step" if from_start else ""),
            why="Where an activation is flat it passes hardly any gradient, and the layers before it learn next to nothing.",
            evidence={layer_name(history, int(row["layer"])): float(row["saturated"]) for row in sick[:8]},
            remedies=_remedies(history),
            conclusive=from_start and stalled(history),
        )


def _remedies(history: History) -> tuple[Remedy, ...]:
    return (
        _smaller(history)
        + normed(history)
        + choose(history, "use ReLUs, started as He et al. do", activation="relu", init="he_normal")
    )


def _smaller(history: History) -> tuple[Remedy, ...]:
    """Standardised inputs, where they are not, and weights that keep the variance of a tanh, as one remedy."""
    inputs = history.measured.inputs if history.measured else None
    large = inputs is not None and math.isfinite(inputs.std) and not (0.3 < inputs.std < 3 and abs(inputs.mean) < inputs.std)
    edits: tuple[tuple[str, str], ...] = ()
    if large and setting(history, "data.standardise") == "none":
        edits = (("data.standardise", "train"),)
    weights = choose(history, "", init="glorot_uniform")
    edits += weights[0].edits if weights else ()
    label = "standardise the images, and start from glorot_uniform weights" if len(edits) > 1 else "start from smaller weights"
    return (Remedy(label=label, edits=edits, since="start"),) if edits else ()
