"""Layers whose units all start alike, and stay alike."""

import math
from typing import ClassVar

import numpy as np

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Severity, Sign
from cockpit.flags._data import start_for
from cockpit.flags._shared import choose
from cockpit.runs.events import Remedy
from cockpit.runs.history import History
from cockpit.runs.tables import rows_of

EXACT = 1e-5
"""Cosines this close to 1 come of weights that are one number, not of chance."""


@card(
    "symmetric_init",
    when="Weights were set to zero or to a constant.",
    beware="A head, a residual branch or an adapter that starts at zero is in order: its first gradient tells its units apart.",
    source="Goodfellow et al. 2016, Deep Learning, section 8.4",
)
class SymmetricInit(Flag):
    """All units of a layer compute the same, so they get the same gradient and never become different.

    A single layer like that may yet come apart: it is a note, and a warning if it has not after the first evaluation. All
    hidden layers like that never do: a warning before the first step.
    """

    moment: ClassVar[Moment] = "start"
    needed: ClassVar[int] = 1
    of_last: ClassVar[int] = 1
    quiet: ClassVar[int] = 3

    cosine: float = knob(0.999, above=0, high=1, help="mean cosine between the units of a layer above which they are alike")

    def look(self, history: History) -> Sign | None:
        """Judges the weights at the start, later also those of the last evaluation."""
        first = self._alike(history, 0)
        if not any(first.values()):
            return None
        hidden = list(first.values())[:-1]
        last = history.evaluations[-1].step if history.evaluations else 0
        now = self._alike(history, last) if last else {}
        still = {name for name, one in now.items() if one and first.get(name)}
        if now and not still:
            return None
        everywhere = bool(hidden) and all(hidden)
        severity: Severity = "warning" if everywhere or still else "info"
        names = [name for name, one in first.items() if one and (not now or name in still)]
        when = f"are still alike after {last:,} steps" if now else "start alike"
        many = f" and of {len(names) - 1} more" if len(names) > 1 else ""
        return Sign(
            severity=severity,
            headline=f"all units of {names[0]}{many} {when}",
            why="Units that are alike get the same gradient: the layer is as good as one unit.",
            evidence={"layers alike": float(len(names)), "layers": float(len(first))},
            remedies=_remedies(history) if severity == "warning" else (),
            conclusive=everywhere,
        )

    def _alike(self, history: History, step: int) -> dict[str, bool]:
        """Layer -> whether its units are alike; layers whose units have one input each cannot differ in direction."""
        layers = history.started.layers if history.started else ()
        rows = rows_of(history.layers, step)
        rows = rows[~np.isnan(rows["alike"])]
        limit = 1 - EXACT if step == 0 else self.cosine
        return {
            layers[row["layer"]].name: bool(row["alike"] > limit)
            for row in rows
            if row["layer"] < len(layers) and math.prod(layers[row["layer"]].shape[1:]) > 1
        }


def _remedies(history: History) -> tuple[Remedy, ...]:
    init = start_for(history)
    return choose(history, f"start from random weights: {init}", init=init)
