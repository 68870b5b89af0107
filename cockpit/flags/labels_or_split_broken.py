"""What was learned of the training images says nothing of the validation images."""

import math
from typing import ClassVar

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Sign
from cockpit.flags._evaluations import FEW, classifies, difference_error, train_error, val_chance
from cockpit.flags._shared import trick_on
from cockpit.runs.events import Evaluated, Remedy
from cockpit.runs.history import History

REMEDIES = (
    Remedy(label="look at a few training and validation images beside their labels"),
    Remedy(label="make sure that both splits number their classes in the same order and get the same transforms"),
)
APART = Remedy(label="make a split in which no validation image has a twin among the training images")


@card(
    "labels_or_split_broken",
    when="Training learns and validation stays at chance: images and labels were paired wrongly in one of the two.",
    beware="A small validation set says little. Validation above training may be honest where its images are easier.",
    source="Zhang et al. 2017, arXiv 1611.03530; Northcutt et al. 2021, arXiv 2103.14749; thresholds calibrated on our cases",
)
class LabelsOrSplitBroken(Flag):
    """The clean training images are known well above chance while the validation accuracy stays at chance or below it.

    Validation far below chance is proof at once: such answers are systematically wrong, as after a shift of the class numbers.
    A validation accuracy above that of the training images, or images that stand in both splits, are worth a note.
    """

    moment: ClassVar[Moment] = "evaluation"
    needed: ClassVar[int] = 3
    of_last: ClassVar[int] = 4
    causes: ClassVar[tuple[str, ...]] = ("non_finite", "train_eval_gap")

    errors: float = knob(4.0, above=0, high=20, help="standard errors by which training must be above chance and validation")
    gap: float = knob(0.05, above=0, below=1, help="accuracy by which training must be above chance and validation as well")
    leak: float = knob(0.02, above=0, below=1, help="validation accuracy above that on training images that is worth a note")
    twins: float = knob(0.01, above=0, below=1, help="share of validation images with a twin in training that is worth a note")

    def look(self, history: History) -> Sign | None:
        """Compares the last evaluation with chance; needs 50 validation images."""
        if not history.evaluations or not classifies(history):
            return None
        seen, chance = history.evaluations[-1], val_chance(history)
        if seen.val_size < FEW or not math.isfinite(seen.val_accuracy + seen.train_accuracy):
            return None
        if self._learned_apart(history, seen, chance):
            guess = math.sqrt(chance * (1 - chance) / seen.val_size)
            far_below = seen.val_accuracy < min(chance / 2, chance - self.errors * guess)
            return _broken(history, seen, chance, proof=far_below)
        return self._easier(history, seen)

    def _learned_apart(self, history: History, seen: Evaluated, chance: float) -> bool:
        """Training significantly above its chance and above validation, which is no better than a guess."""
        assert history.started is not None
        lead = seen.train_accuracy - history.started.chance_accuracy
        ahead = seen.train_accuracy - seen.val_accuracy
        guess = math.sqrt(chance * (1 - chance) / seen.val_size)
        return (
            lead > max(self.gap, self.errors * train_error(seen)) + 1e-6
            and ahead > max(self.gap, self.errors * difference_error(seen)) + 1e-6
            and seen.val_accuracy <= chance + 2 * guess + 1e-6
        )

    def _easier(self, history: History, seen: Evaluated) -> Sign | None:
        assert history.started is not None
        ahead = seen.val_accuracy - seen.train_accuracy
        if ahead > max(self.leak, 3 * difference_error(seen)) + 1e-6:
            return Sign(
                severity="info",
                headline=f"validation accuracy {seen.val_accuracy:.1%}, on training images only {seen.train_accuracy:.1%}",
                why="Images that were trained on should be known best: the validation images may be easier, or leak.",
                evidence={"validation accuracy": seen.val_accuracy, "clean training accuracy": seen.train_accuracy},
                remedies=(APART,),
            )
        twins = history.started.data.duplicates.get("train_val", 0)
        if twins <= self.twins * seen.val_size:
            return None
        return Sign(
            severity="info",
            headline=f"{twins:,} of {seen.val_size:,} validation images stand in the training split too",
            why="The validation accuracy then counts what was learned by heart.",
            evidence={"twins": float(twins), "validation images": float(seen.val_size)},
            remedies=(APART,),
            conclusive=True,
        )


def _broken(history: History, seen: Evaluated, chance: float, *, proof: bool) -> Sign:
    on_purpose = trick_on(history, "random_labels")
    return Sign(
        severity="info" if on_purpose else "warning",
        headline=f"{seen.train_accuracy:.0%} of the training images are right and {seen.val_accuracy:.1%} of the validation "
        f"images; guessing earns {chance:.0%}",
        why="Labels and images belong together in one split and not in the other, so all that is learned is learned by heart.",
        evidence={
            "clean training accuracy": seen.train_accuracy,
            "validation accuracy": seen.val_accuracy,
            "chance": chance,
        },
        remedies=REMEDIES,
        conclusive=proof and not on_purpose,
    )
