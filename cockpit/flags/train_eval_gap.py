"""A network that is another one in evaluation than in training."""

import math
from typing import ClassVar

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Sign
from cockpit.flags._evaluations import classifies, train_error
from cockpit.flags._shared import setting, trick_on
from cockpit.runs.events import Evaluated, Remedy, Started
from cockpit.runs.history import History

FOLLOW = Remedy(label="let the running statistics of the norm layers follow: momentum 0.1, and batches of 16 or more")
CALL_TRAIN = Remedy(label="make sure that the norm layers are in training mode while the network trains")
CALL_EVAL = Remedy(label="call model.eval() before the validation and model.train() after it")


@card(
    "train_eval_gap",
    when="Validation is far below what the training loss promises: norm layers whose running statistics lag behind.",
    beware="Dropout makes training mode the worse one by design. In the first steps running statistics always lag.",
    source="Ioffe and Szegedy 2015, arXiv 1502.03167; Wu and Johnson 2021, arXiv 2105.07576; Ben Braiek and Khomh 2023, "
    "TheDeepChecker (TOSEM)",
)
class TrainEvalGap(Flag):
    """On the same clean training images, evaluation mode is much worse than training mode.

    A validation that was made in training mode is proof at one look. Averaged weights, which may be scored with the
    statistics of others, are worth a note.
    """

    moment: ClassVar[Moment] = "evaluation"
    needed: ClassVar[int] = 3
    of_last: ClassVar[int] = 4
    causes: ClassVar[tuple[str, ...]] = ("non_finite",)

    loss: float = knob(0.5, above=0, below=1, help="share of the loss in evaluation mode that is missing in training mode")
    accuracy: float = knob(0.15, above=0, below=1, help="accuracy in training mode above that in evaluation mode")
    blow_up: float = knob(10.0, above=1, high=1e6, help="times the loss of training mode that is proof, twice in a row")
    steps: int = knob(100, low=1, high=1_000_000, help="steps in which running statistics may lag, ten times 1 / momentum")

    def look(self, history: History) -> Sign | None:
        """Judges the last evaluation."""
        if not history.evaluations or history.started is None:
            return None
        seen = history.evaluations[-1]
        if seen.in_training_mode:
            return _in_training_mode(seen)
        if not classifies(history):
            return None
        proof = all(self._blown_up(one, history.started) for one in history.evaluations[-2:]) and len(history.evaluations) > 1
        if not proof and not self._apart(seen, history.started):
            return None
        return Sign(
            severity="warning" if seen.weights == "raw" else "info",
            headline=f"{seen.train_mode_accuracy:.0%} of the clean training images are right in training mode, "
            f"{seen.train_accuracy:.0%} in evaluation mode",
            why="The norm layers use running statistics in evaluation that do not fit the network, so every score is too low.",
            evidence={
                "loss in training mode": seen.train_mode_loss,
                "loss in evaluation mode": seen.train_loss,
                "accuracy in training mode": seen.train_mode_accuracy,
                "accuracy in evaluation mode": seen.train_accuracy,
            },
            remedies=_remedies(history),
            conclusive=proof and seen.weights == "raw",
        )

    def _apart(self, seen: Evaluated, started: Started) -> bool:
        """A wide gap of the accuracies and of the losses, once running statistics have had their time."""
        if seen.step < started.warmup_steps + self.steps:
            return False
        gap = seen.train_mode_accuracy - seen.train_accuracy
        share = 1 - seen.train_mode_loss / max(seen.train_loss, 1e-12)
        return gap > self.accuracy + 1e-6 and share > self.loss + 1e-6

    def _blown_up(self, seen: Evaluated, started: Started) -> bool:
        """A loss out of all bounds in evaluation mode alone, in half of that time."""
        if seen.step < started.warmup_steps + self.steps // 2:
            return False
        gap = seen.train_mode_accuracy - seen.train_accuracy
        bounds = self.blow_up * max(seen.train_mode_loss, started.chance_loss)
        return gap > max(0.05, 4 * math.sqrt(2) * train_error(seen)) and seen.train_loss > bounds


def _in_training_mode(seen: Evaluated) -> Sign:
    return Sign(
        severity="warning",
        headline="the validation was made with the network in training mode",
        why="Dropout and batch statistics then disturb the score, and validation images get into the running statistics.",
        evidence={"validation accuracy": seen.val_accuracy},
        remedies=(CALL_EVAL,),
        conclusive=True,
    )


def _remedies(history: History) -> tuple[Remedy, ...]:
    """In a loop of the user's own there is no recipe to edit."""
    if not history.recipe:
        return (FOLLOW, CALL_TRAIN)
    momentum = (Remedy(label="let running statistics follow faster", edits=(("model.norm", "{name: batch, momentum: 0.1}"),)),)
    anew = (Remedy(label="take the running statistics anew before each evaluation", edits=(("tricks.recalibrate_bn", "{}"),)),)
    group = (Remedy(label="norm layers that look at one image alone", edits=(("model.norm", "group"),), since="start"),)
    slow = setting(history, "model.norm.momentum")
    lags = isinstance(slow, int | float) and slow < 0.1
    return (momentum if lags else ()) + (() if trick_on(history, "recalibrate_bn") else anew) + group
