"""A fresh network that is worse than one that knows nothing."""

import math
from typing import ClassVar

import numpy as np

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Severity, Sign
from cockpit.flags._data import usual_start
from cockpit.flags._shared import change_lr, normalise, recent_loss
from cockpit.runs.events import Measured, Remedy
from cockpit.runs.history import History

SUMMED = (0.95, 1.6)
"""Fresh networks start at about so many times chance: one that is as many times above that as the batch is large is summed."""
WEIGHTED = ("Linear", "Conv1d", "Conv2d", "Conv3d")
EARLY = 20
"""The first look at measured weights: those of the first step."""
SMALL_HEAD = Remedy(label="start the last layer smaller: divide its weights by 10, and its bias is 0", since="start")
AVERAGE = Remedy(label="average the loss over the batch (reduction mean)", since="start")


@card(
    "bad_initial_loss",
    when="Before the first step: a wrong initialisation, loss or label format shows in one number.",
    beware="A pretrained network rightly starts below chance; He weights in the last layer may rightly add half of it.",
    source="Ben Braiek and Khomh 2023, TheDeepChecker (TOSEM); Karpathy 2019, A recipe for training neural networks",
)
class BadInitialLoss(Flag):
    """The loss of the fresh network is far from the loss of equal logits, and the first steps do not make up for it.

    Healthy networks with He weights start at up to five times chance, on raw tables at a dozen times, and make up for half of
    that within 60 steps: so only what is out of all bounds is critical at once. Weights far above their scale are a warning
    as soon as they are measured. It clears when the loss has come down to that of equal logits.
    """

    moment: ClassVar[Moment] = "start"
    needed: ClassVar[int] = 1
    of_last: ClassVar[int] = 1
    quiet: ClassVar[int] = 3
    causes: ClassVar[tuple[str, ...]] = ("input_scale", "label_problem")

    above: float = knob(
        1.0, above=0, high=100, help="a note, later a warning, when the loss is above chance by more than this share"
    )
    far_above: float = knob(3.0, above=0, high=1000, help="critical above this share, if the first steps do not make up for it")
    out_of_bounds: float = knob(30.0, above=0, high=1e6, help="critical above this share, before the first step")
    steps: int = knob(60, low=20, high=100_000, help="steps after the warm-up that may make up for half of it")
    wide: float = knob(3.0, above=1, high=1e6, help="times He's deviation in a layer from which on the weights are to blame")
    below: float = knob(0.2, above=0, below=1, help="a note when the loss is below chance by more than this share of it")
    samples: int = knob(32, low=1, high=1_000_000, help="training images that must have been measured")

    def look(self, history: History) -> Sign | None:
        """Looks at the first loss; after some steps also at whether the loss is still above chance."""
        seen = history.measured
        if seen is None or seen.samples < self.samples or not math.isfinite(seen.loss) or not 0 < seen.expected_loss < math.inf:
            return None
        wide, batch = _widest(history), _summed_over(seen, history)
        early = wide > self.wide and history.step <= EARLY
        if len(history.steps) and not early and recent_loss(history, 20) <= seen.expected_loss * max(batch, 1):
            return None
        # A hair of tolerance: the limit itself is still in order, whatever the rounding.
        excess = seen.loss / seen.expected_loss - 1 - 1e-6
        if excess <= self.above:
            return _below(seen.loss, seen.expected_loss) if excess < -self.below - 2e-6 else None
        times = f", about {batch} times as much: it looks summed over the batch" if batch else ""
        return Sign(
            severity=self._severity(seen, excess, wide, history, summed=bool(batch)),
            headline=f"first loss {seen.loss:.3g}, where equal logits give {seen.expected_loss:.3g}{times}",
            why="Every step is as many times too long as the batch has images."
            if batch
            else "A fresh network should be unsure; this one is sure and wrong, and the first epochs only undo that.",
            evidence={"loss": seen.loss, "chance": seen.expected_loss, "samples": float(seen.samples)}
            | ({"widest layer, times its He scale": wide} if wide > self.wide else {}),
            remedies=(AVERAGE, *change_lr(history, 1 / batch, "start")) if batch else _remedies(history),
        )

    def _severity(self, seen: Measured, excess: float, wide: float, history: History, *, summed: bool) -> Severity:
        """A sum is no illness in itself: with a rate to match it learns, and the loss is soon below that of a guess."""
        warm = history.started.warmup_steps if history.started else 0
        half = seen.expected_loss + (seen.loss - seen.expected_loss) / 2
        lasting = history.step >= warm + self.steps and not recent_loss(history, 20) < half
        if summed:
            return "warning" if history.step >= warm + EARLY else "info"
        if excess > self.out_of_bounds or (lasting and excess > self.far_above):
            return "critical"
        return "warning" if lasting or wide > self.wide else "info"


def _widest(history: History) -> float:
    """The largest spread of a layer's first weights over that of He et al., sqrt(2 / inputs); 0 before it is measured."""
    layers = history.started.layers if history.started else ()
    rows = history.layers[: 2 * len(layers)]
    rows = rows[~np.isnan(rows["weight_std"])][: len(layers)]
    spreads = [
        float(row["weight_std"]) / math.sqrt(2 / math.prod(layers[row["layer"]].shape[1:]))
        for row in rows
        if layers[row["layer"]].kind in WEIGHTED
    ]
    return max(spreads, default=0.0)


def _summed_over(seen: Measured, history: History) -> int:
    """The images of a batch, where the loss looks like their sum; else 0."""
    batch = history.started.batch_size if history.started else 0
    return batch if batch >= 8 and SUMMED[0] <= seen.loss / seen.expected_loss / batch <= SUMMED[1] else 0


def _remedies(history: History) -> tuple[Remedy, ...]:
    return (*usual_start(history), *normalise(history), SMALL_HEAD)


def _below(loss: float, chance: float) -> Sign:
    return Sign(
        severity="info",
        headline=f"first loss {loss:.3g}, where equal logits give {chance:.3g}",
        why="The network knows something before its first step: it is pretrained, or the labels leak into the images.",
        evidence={"loss": loss, "chance": chance},
    )
