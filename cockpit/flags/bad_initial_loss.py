"""A fresh network that is worse than one that knows nothing."""

import math
from typing import ClassVar

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Severity, Sign
from cockpit.flags._shared import choose, last_losses, normalise
from cockpit.runs.history import History


@card(
    "bad_initial_loss",
    when="Before the first step: a wrong initialisation, loss or label format shows in one number.",
    beware="A pretrained network rightly starts below chance; He weights in the last layer may rightly add half of it.",
    source="Ben Braiek and Khomh 2023, TheDeepChecker (TOSEM); Karpathy 2019, A recipe for training neural networks",
)
class BadInitialLoss(Flag):
    """The loss of the fresh network is far from the loss of equal logits.

    It clears once training has brought the loss down to that of equal logits.
    """

    moment: ClassVar[Moment] = "start"
    needed: ClassVar[int] = 1
    of_last: ClassVar[int] = 1
    quiet: ClassVar[int] = 3

    note: float = knob(0.5, above=0, high=10, help="a note when the loss is above chance by more than this share of it")
    above: float = knob(1.0, above=0, high=100, help="a warning above this share")
    far_above: float = knob(3.0, above=0, high=1000, help="critical above this share")
    below: float = knob(0.2, above=0, below=1, help="a note when the loss is below chance by more than this share of it")
    samples: int = knob(128, low=1, help="training images that must have been measured")

    def look(self, history: History) -> Sign | None:
        """Info, warning or critical above chance, by how far; info below it."""
        seen = history.measured
        if seen is None or seen.samples < self.samples or not math.isfinite(seen.expected_loss) or seen.expected_loss <= 0:
            return None
        if len(history.steps) and float(last_losses(history, 20).mean()) <= seen.expected_loss:
            return None
        # A hair of tolerance: the limit itself is still in order, whatever the rounding.
        excess = seen.loss / seen.expected_loss - 1 if math.isfinite(seen.loss) else math.inf
        if excess <= self.note + 1e-6:
            return _below(seen.loss, seen.expected_loss) if excess < -self.below - 1e-6 else None
        return Sign(
            severity=self._severity(excess - 1e-6),
            headline=f"first loss {seen.loss:.3g}, where equal logits give {seen.expected_loss:.3g}",
            why="A fresh network should be unsure; this one is sure and wrong, and the first epochs only undo that.",
            evidence={"loss": seen.loss, "chance": seen.expected_loss, "samples": float(seen.samples)},
            remedies=choose(history, "start from he_normal weights", init="he_normal") + normalise(history),
        )

    def _severity(self, excess: float) -> Severity:
        return "critical" if excess > self.far_above else "warning" if excess > self.above else "info"


def _below(loss: float, chance: float) -> Sign:
    return Sign(
        severity="info",
        headline=f"first loss {loss:.3g}, where equal logits give {chance:.3g}",
        why="The network knows something before its first step: it is pretrained, or the labels leak into the images.",
        evidence={"loss": loss, "chance": chance},
    )
