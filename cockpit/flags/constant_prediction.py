"""A network that gives nearly every image the same answer."""

import math
from itertools import pairwise
from typing import ClassVar

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Sign
from cockpit.flags._evaluations import FEW, classifies, stalled, val_chance
from cockpit.flags._plateaus import WHY, plateau_end, waiting
from cockpit.flags._shared import change_lr, settled
from cockpit.runs.events import Evaluated, Remedy
from cockpit.runs.history import History

REMEDIES = (
    Remedy(label="feed zeros in the place of the images: if the loss stays the same, the input never reaches the output"),
    Remedy(label="give the last layer one output for each class, without a softmax over a single unit"),
)


OPENING, GROWS = 4, 1.03
"""Looks in a row at which the outputs spread by so much more than at the one before."""


@card(
    "constant_prediction",
    when="The accuracy is that of one class: the outputs no longer depend on the image.",
    beware="Right where one class makes up most of the images; and usual in the first steps of any run.",
    source="Zhang et al. 2021, AutoTrainer (ICSE); Ben Braiek and Khomh 2023, TheDeepChecker (TOSEM)",
)
class ConstantPrediction(Flag):
    """Nearly all validation images get the same class, though that class is not so common, and the loss does not fall.

    Outputs that are equal for every image, to the last digits, are proof at one look. While the loss falls it is a note,
    and for the first 2,000 steps, or 30 % of the run, while gradients and updates are alive: it may be a plateau.
    """

    moment: ClassVar[Moment] = "evaluation"
    needed: ClassVar[int] = 3
    of_last: ClassVar[int] = 4
    causes: ClassVar[tuple[str, ...]] = (
        *("non_finite", "input_scale", "bad_initial_loss", "symmetric_init", "output_loss_mismatch", "over_regularised"),
        *(
            "dead_relu",
            "vanishing_gradient",
            "saturated_activation",
            "exploding_gradient",
            "lr_too_high",
            "lr_too_low",
            "train_eval_gap",
        ),
    )

    share: float = knob(0.9, above=0.5, below=1, help="share of the validation images that get one class")
    prior: float = knob(0.6, above=0, below=1, help="a class with this share of the images may rightly be the usual answer")
    spread: float = knob(1e-6, above=0, below=0.1, help="spread of the outputs over the images, by their size, that is none")

    def look(self, history: History) -> Sign | None:
        """From the second evaluation on; from the first, where the outputs are equal."""
        if not history.evaluations or not settled(history) or not classifies(history):
            return None
        seen, prior = history.evaluations[-1], val_chance(history)
        same = self._same(seen)
        if seen.val_size < FEW or (not same and (prior >= self.prior or len(history.evaluations) < 2)):
            return None
        if not same and not seen.largest_class_share > self.share + 1e-6:
            return None
        waits = not same and waiting(history)
        return Sign(
            severity="warning" if stalled(history) and not waits and not _opening(history.evaluations) else "info",
            headline="every image gets the same output"
            if same
            else f"{seen.largest_class_share:.0%} of the validation images get one class, which {prior:.0%} of them are of",
            why=WHY.format(plateau_end(history))
            if waits
            else "An answer that does not depend on the image has learned nothing from it.",
            evidence=_evidence(seen, prior),
            remedies=change_lr(history, 0.1) + REMEDIES,
            conclusive=same,
        )

    def _same(self, seen: Evaluated) -> bool:
        outputs = seen.outputs
        if outputs is None or not math.isfinite(outputs.spread) or outputs.samples < FEW:
            return False
        return outputs.spread <= self.spread * max(abs(outputs.low), abs(outputs.high), 1e-30)


def _opening(seen: list[Evaluated]) -> bool:
    """Whether the outputs spread further at each of the last looks: a deep network leaves its plateau like that."""
    spreads = [one.outputs.spread for one in seen[-OPENING:] if one.outputs]
    return len(spreads) == OPENING and all(new > GROWS * old > 0 for old, new in pairwise(spreads))


def _evidence(seen: Evaluated, prior: float) -> dict[str, float | str]:
    found: dict[str, float | str] = {"largest share of the answers": seen.largest_class_share, "largest class": prior}
    if seen.outputs:
        found["spread of the outputs"] = seen.outputs.spread
    return found
