"""A loss and an accuracy that do not speak of the same thing."""

import math
from typing import ClassVar

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Sign
from cockpit.flags._evaluations import classifies, val_chance, val_error
from cockpit.flags._shared import guessing, learnable, recent_loss, settled
from cockpit.runs.events import Evaluated, Remedy
from cockpit.runs.history import History

REMEDIES = (
    Remedy(label="compute the accuracy of a handful of images by hand, from the outputs to the argmax and its axis"),
    Remedy(label="make sure that the loss takes the labels in the form in which they come"),
)


@card(
    "loss_accuracy_mismatch",
    when="The loss falls and the accuracy does not move, or the accuracy reported is not that of the outputs.",
    beware="With one class in the majority the loss may rightly fall long before the accuracy rises.",
    source="Ben Braiek and Khomh 2023, TheDeepChecker (TOSEM); thresholds calibrated on our cases",
)
class LossAccuracyMismatch(Flag):
    """The loss is well below that of a guess while the accuracies are those of a guess.

    An accuracy that the loop reports and that its own outputs do not bear out is proof at one look.
    """

    moment: ClassVar[Moment] = "evaluation"
    needed: ClassVar[int] = 3
    of_last: ClassVar[int] = 4
    causes: ClassVar[tuple[str, ...]] = ("non_finite", "output_loss_mismatch", "train_eval_gap", "labels_or_split_broken")

    fall: float = knob(0.1, above=0, below=1, help="share of what is learnable by which the loss must be below a guess")
    majority: float = knob(0.6, above=0, below=1, help="share of the largest class above which the loss may fall alone")
    said: float = knob(0.02, above=0, below=1, help="difference between the accuracy reported and the one recomputed")

    def look(self, history: History) -> Sign | None:
        """Judges the last evaluation; the loss over one epoch."""
        if not history.evaluations:
            return None
        seen = history.evaluations[-1]
        apart = self._misreported(seen)
        if apart:
            return apart
        if not classifies(history) or not settled(history):
            return None
        return self._fell_alone(history, seen)

    def _misreported(self, seen: Evaluated) -> Sign | None:
        said = seen.said_accuracy / 100 if seen.said_accuracy > 1 else seen.said_accuracy
        apart = abs(said - seen.val_accuracy)
        if not apart > max(self.said, 3 * val_error(seen)) + 1e-6:
            return None
        return Sign(
            severity="warning",
            headline=f"the loop reports {said:.1%} validation accuracy, its outputs give {seen.val_accuracy:.1%}",
            why="A score that is computed wrongly picks the wrong checkpoint and ends runs too early.",
            evidence={"reported": said, "recomputed": seen.val_accuracy},
            remedies=REMEDIES[:1],
            conclusive=True,
        )

    def _fell_alone(self, history: History, seen: Evaluated) -> Sign | None:
        started, chance = history.started, val_chance(history)
        assert started is not None
        if max(chance, started.chance_accuracy) > self.majority or not math.isfinite(started.chance_loss):
            return None
        limit = started.chance_loss - self.fall * learnable(history)
        loss = recent_loss(history, min(max(started.steps_per_epoch, 40), 1000))
        blind = guessing(history, seen) and seen.val_accuracy <= chance + 2 * val_error(seen)
        if not blind or not loss < limit - 1e-6 or not seen.train_loss < limit - 1e-6:
            return None
        return Sign(
            severity="warning",
            headline=f"loss {loss:.3g}, well below the {started.chance_loss:.3g} of a guess, with the accuracy of a guess",
            why="The loss is lowered by something that does not help to tell the classes apart.",
            evidence={"loss": loss, "loss of a guess": started.chance_loss, "clean training accuracy": seen.train_accuracy},
            remedies=REMEDIES,
        )
