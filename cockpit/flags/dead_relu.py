"""ReLU units that no image switches on."""

from typing import ClassVar

import numpy as np

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Severity, Sign
from cockpit.flags._evaluations import layer_name, stalled, unit_rows
from cockpit.flags._shared import change_lr, choose, guessing, last_evaluation, learned, settled
from cockpit.flags._stacks import fewer_layers, normed
from cockpit.runs.events import Evaluated, Remedy
from cockpit.runs.history import History

WHOLE = 0.999
"""A layer whose dead units make up this share is dead as a whole: nothing gets through it."""


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
        if seen is None or not (settled(history) or _never_lived(history, seen)):
            return None
        rows = unit_rows(history, "dead", seen.step)
        if not len(rows) or not rows["dead"].max() > self.share + 1e-6:
            return None
        worst = rows[np.argmax(rows["dead"])]
        dead = float(worst["dead"])
        severity: Severity = "critical" if dead > self.critical_share + 1e-6 else "warning"
        if not stalled(history) or learned(history):
            severity = "info"
        sick = rows[rows["dead"] > self.share + 1e-6]
        name = layer_name(history, int(worst["layer"]))
        return Sign(
            severity=severity,
            headline=f"{dead:.0%} of the units of {name} are dead" + (f", {len(sick)} layers in all" if len(sick) > 1 else ""),
            why="A dead unit passes no gradient, so no training step can wake it.",
            evidence={layer_name(history, int(row["layer"])): float(row["dead"]) for row in sick[:8]},
            remedies=_remedies(history, _born(history, self.share)),
            conclusive=severity == "critical" and (dead > WHOLE or guessing(history, seen)),
        )


def _never_lived(history: History, seen: Evaluated) -> bool:
    """Whether a whole layer was dead before the first step, and the network only guesses after the warm-up and 20 steps."""
    started = history.started
    if started is None or seen.step < started.warmup_steps + 20 or not guessing(history, seen):
        return False
    return _born(history, WHOLE)


def _born(history: History, share: float) -> bool:
    """Whether units of a layer were dead before the first step: then no learning rate has killed them."""
    fresh = unit_rows(history, "dead", 0)
    return len(fresh) > 0 and bool(fresh["dead"].max() > share)


def _remedies(history: History, born: bool) -> tuple[Remedy, ...]:
    slower = change_lr(history, 0.1)
    leaky = choose(history, "use leaky ReLUs, started as He et al. do", activation="leaky_relu", init="he_normal")
    fewer = fewer_layers(history)
    if not born:
        return slower + leaky + normed(history)
    edits = (leaky[0].edits if leaky else ()) + fewer
    label = "use leaky ReLUs in fewer layers, started as He et al. do" if fewer else "use leaky ReLUs, started as He et al. do"
    both = (Remedy(label=label, edits=edits, since="start"),) if edits else ()
    return both + normed(history) + slower
