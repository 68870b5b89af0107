"""ReLU units that no image switches on."""

from typing import ClassVar

import numpy as np

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Severity, Sign
from cockpit.flags._shared import change_lr, choose, guessing, last_evaluation, learned, normalise, progressing, settled
from cockpit.runs.events import Remedy
from cockpit.runs.history import History
from cockpit.runs.tables import Rows


@card(
    "dead_relu",
    when="The loss is stuck in a ReLU network, most often after too large a step.",
    beware="Many zeros are sparsity, not death: only units that no image switches on count. 20 to 40 % of them are common.",
    source="Lu et al. 2019, arXiv 1903.06733; Amazon SageMaker Debugger, rule DeadRelu",
)
class DeadReLU(Flag):
    """Most units of a layer are never active on the clean probe and the validation images.

    While the loss still falls, or most is learned already, it is worth a note and no more.
    """

    moment: ClassVar[Moment] = "evaluation"
    causes: ClassVar[tuple[str, ...]] = ("non_finite", "input_scale", "symmetric_init", "over_regularised")

    share: float = knob(0.5, above=0, below=1, help="share of dead units in a layer above which to warn")
    critical_share: float = knob(0.9, above=0, below=1, help="share above which it is critical")

    def look(self, history: History) -> Sign | None:
        """Judges the worst layer; where it is critical and the network only guesses, one look is enough."""
        seen = last_evaluation(history)
        if seen is None or not settled(history):
            return None
        rows = _measured_at(history.layers, seen.step)
        if not len(rows) or not rows["dead"].max() > self.share + 1e-6:
            return None
        worst = rows[np.argmax(rows["dead"])]
        dead = float(worst["dead"])
        severity: Severity = "critical" if dead > self.critical_share + 1e-6 else "warning"
        if progressing(history) or learned(history):
            severity = "info"
        sick = rows[rows["dead"] > self.share + 1e-6]
        name = _name(history, int(worst["layer"]))
        return Sign(
            severity=severity,
            headline=f"{dead:.0%} of the units of {name} are dead" + (f", {len(sick)} layers in all" if len(sick) > 1 else ""),
            why="A dead unit passes no gradient, so no training step can wake it.",
            evidence={_name(history, int(row["layer"])): float(row["dead"]) for row in sick[:8]},
            remedies=_remedies(history),
            conclusive=severity == "critical" and (dead > 0.999 or guessing(history, seen)),
        )


def _measured_at(layers: Rows, step: int) -> Rows:
    """The rows of one evaluation: they end the table."""
    tail = layers[-4096:]
    measured: Rows = tail[(tail["step"] == step) & ~np.isnan(tail["dead"])]
    return measured


def _name(history: History, layer: int) -> str:
    layers = history.started.layers if history.started else ()
    return layers[layer].name if layer < len(layers) else f"layer {layer}"


def _remedies(history: History) -> tuple[Remedy, ...]:
    return (
        change_lr(history, 0.1)
        + choose(history, "use leaky ReLUs, started as He et al. do", activation="leaky_relu", init="he_normal")
        + normalise(history)
    )
