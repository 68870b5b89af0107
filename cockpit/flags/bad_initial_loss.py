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
    """The loss of the fresh network is far from the loss of equal logits, and the first steps do not make up for it.

    Healthy networks with He weights in the last layer start at up to five times chance and are below it within 40 steps: so
    only what is out of all bounds is critical at once. It clears when the loss has come down to that of equal logits.
    """

    moment: ClassVar[Moment] = "start"
    needed: ClassVar[int] = 1
    of_last: ClassVar[int] = 1
    quiet: ClassVar[int] = 3

    above: float = knob(
        1.0, above=0, high=100, help="a note, later a warning, when the loss is above chance by more than this share"
    )
    far_above: float = knob(3.0, above=0, high=1000, help="critical above this share, if the first steps do not make up for it")
    out_of_bounds: float = knob(9.0, above=0, high=1e6, help="critical above this share, before the first step")
    steps: int = knob(60, low=20, high=100_000, help="steps after the warm-up that may make up for it")
    below: float = knob(0.2, above=0, below=1, help="a note when the loss is below chance by more than this share of it")
    samples: int = knob(128, low=1, high=1_000_000, help="training images that must have been measured")

    def look(self, history: History) -> Sign | None:
        """Looks at the first loss; after some steps also at whether the loss is still above chance."""
        seen = history.measured
        if seen is None or seen.samples < self.samples or not math.isfinite(seen.expected_loss) or seen.expected_loss <= 0:
            return None
        if len(history.steps) and float(last_losses(history, 20).mean()) <= seen.expected_loss:
            return None
        # A hair of tolerance: the limit itself is still in order, whatever the rounding.
        excess = (seen.loss / seen.expected_loss - 1 if math.isfinite(seen.loss) else math.inf) - 1e-6
        if excess <= self.above:
            return _below(seen.loss, seen.expected_loss) if excess < -self.below - 2e-6 else None
        return Sign(
            severity=self._severity(excess, history),
            headline=f"first loss {seen.loss:.3g}, where equal logits give {seen.expected_loss:.3g}",
            why="A fresh network should be unsure; this one is sure and wrong, and the first epochs only undo that.",
            evidence={"loss": seen.loss, "chance": seen.expected_loss, "samples": float(seen.samples)},
            remedies=choose(history, "start from he_normal weights", init="he_normal") + normalise(history),
        )

    def _severity(self, excess: float, history: History) -> Severity:
        warm = history.started.warmup_steps if history.started else 0
        lasting = history.step >= warm + self.steps
        if excess > self.out_of_bounds or (lasting and excess > self.far_above):
            return "critical"
        return "warning" if lasting else "info"


def _below(loss: float, chance: float) -> Sign:
    return Sign(
        severity="info",
        headline=f"first loss {loss:.3g}, where equal logits give {chance:.3g}",
        why="The network knows something before its first step: it is pretrained, or the labels leak into the images.",
        evidence={"loss": loss, "chance": chance},
    )
