"""Losses and gradients that are no numbers."""

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Sign
from cockpit.flags._shared import base_lr, change_lr, sampled, setting, switch_on
from cockpit.runs.events import Remedy
from cockpit.runs.history import History

BLOCK_OF_ROWS = 128
"""More than the steps between two looks: no step goes unseen."""


@card(
    "non_finite",
    when="Always: a run that lost its numbers does not come back.",
    beware="fp16 skips the updates whose gradient overflowed; a single infinite gradient is normal there.",
    source="Amazon SageMaker Debugger, rule ExplodingTensor",
)
class NonFinite(Flag):
    """The loss, the validation loss, or the gradient is NaN or infinite.

    A loss counts at once; gradients count on consecutive measured steps, since a loss scaler skips single ones.
    """

    moment: ClassVar[Moment] = "rows"
    needed: ClassVar[int] = 1
    of_last: ClassVar[int] = 1
    quiet: ClassVar[int] = 0

    gradients: int = knob(2, low=1, high=20, help="measured steps in a row with an infinite gradient")
    lasting: int = knob(
        10, low=0, high=1000, help="steps from the first to the last of them: a loss scaler finds its scale first"
    )

    def look(self, history: History) -> Sign | None:
        """Critical as soon as it is seen; never clears."""
        what = self._what(history)
        if what is None:
            return None
        recent = sampled(history, 20)
        growth = _growth(recent["grad_norm"])
        return Sign(
            severity="critical",
            headline=f"{what[0]} at step {what[1]:,}",
            why="Every weight it touches becomes NaN, and no later step can mend that.",
            evidence={"step": float(what[1]), "lr": base_lr(history), "gradient growth before": growth},
            remedies=_remedies(history),
            conclusive=True,
        )

    def _what(self, history: History) -> tuple[str, int] | None:
        rows = history.steps[-BLOCK_OF_ROWS:]
        lost = rows[~np.isfinite(rows["loss"]) & ~(rows["held"] > 0)]
        if len(lost):
            return f"the training loss became {lost['loss'][0]}", int(lost["step"][0])
        if _val_lost([seen.val_loss for seen in history.evaluations[-2:]]):
            return f"the validation loss became {history.evaluations[-1].val_loss}", history.evaluations[-1].step
        recent = sampled(history, self.gradients - 1 + BLOCK_OF_ROWS)
        if not np.isinf(recent["grad_norm"]).any():
            return None
        first, count = 0, 0
        for step, norm in zip(recent["step"], recent["grad_norm"], strict=True):
            first, count = (int(step) if not count else first, count + 1) if np.isinf(norm) else (0, 0)
            if count >= self.gradients and step - first >= self.lasting:
                return f"the gradient was infinite on {count} measured steps in a row", int(step)
        return None


def _val_lost(losses: list[float]) -> bool:
    """Whether the last validation loss is no number, where the one before was one; a loop may not tell it at all."""
    return bool(losses) and (math.isinf(losses[-1]) or (math.isnan(losses[-1]) and math.isfinite(losses[0])))


def _growth(norms: NDArray[np.float32]) -> float:
    """The largest finite gradient over the first one, of the last measured steps."""
    finite = norms[np.isfinite(norms) & (norms > 0)]
    return float(finite.max() / finite[0]) if len(finite) else float("nan")


def _remedies(history: History) -> tuple[Remedy, ...]:
    half = setting(history, "train.precision") == "fp16"
    precise = (Remedy(label="compute in fp32", edits=(("train.precision", "fp32"),)),) if half else ()
    clip = switch_on(history, "grad_clip", "clip the gradients at norm 1", "{max_norm: 1.0}")
    return change_lr(history, 0.1) + clip + precise
