"""A learning rate so high that the loss goes up, or stays where a blow-up threw it."""

import math
from typing import ClassVar, NamedTuple

import numpy as np

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Sign
from cockpit.flags._curves import falling, first_loss, ignorance, knows, levels, width
from cockpit.flags._shared import Floats, base_lr, change_lr, has, last_losses, planned, setting, settled, switch_on
from cockpit.runs.events import Remedy
from cockpit.runs.history import History

EARLY = 20
"""The first steps, all of which are measured."""
FAR = 5.0
"""A loss thrown up to so many times the limit did harm that a little knowledge does not undo."""
LITTLE = 0.25
"""The share of what there is to know that is little."""
NOTHING, LOWEST = 0.97, 0.95
"""Shares of the loss of knowing nothing above which a mean loss, and the lowest of its levels, show that nothing is known."""
BACK = 0.02
"""A fall by this share of that loss is the way back."""


class Seen(NamedTuple):
    """What the loss did."""

    says: str
    loss: float
    limit: float
    hopeless: bool = False


@card(
    "lr_too_high",
    when="The loss goes up and stays up, or a network that blew up in its first steps rests at chance.",
    beware="A bump after the warm-up or a restart recovers by itself. The value of the rate says nothing: 1.0 suits Adadelta.",
    source="Bengio 2012, arXiv 1206.5533; Ben Braiek and Khomh 2023, TheDeepChecker (TOSEM); calibrated on our cases",
)
class LrTooHigh(Flag):
    """The training loss stays above that of knowing nothing, falls back to it, or never left it after a blow-up.

    What the clean training images tell goes before what the curve tells: a network that knows more than a guess is let be.
    """

    moment: ClassVar[Moment] = "rows"
    needed: ClassVar[int] = 1
    of_last: ClassVar[int] = 1
    quiet: ClassVar[int] = 10
    causes: ClassVar[tuple[str, ...]] = ("input_scale", "stale_gradients", "output_loss_mismatch", "label_problem")

    above: float = knob(1.2, above=1, high=100, help="times the loss of knowing nothing that is too much")
    grown: float = knob(1.5, above=1, high=100, help="the same, where only the first losses tell what knowing nothing costs")
    collapse: float = knob(0.8, above=0, below=1, help="share of that loss which a network that collapses was below")
    steps: int = knob(100, low=20, high=100_000, help="steps for which it must last; in short runs 10 %, but 40")
    leap: float = knob(0.1, above=0, high=10, help="update ratio in the first steps that is a blow-up")

    def look(self, history: History) -> Sign | None:
        """Warning; critical where the loss is out of all bounds."""
        if history.started is None or not len(history.steps):
            return None
        seen = self._lost(history)
        if seen is None:
            seen = self._stuck(history)
        if seen is None and not knows(history):
            seen = self._above(history) or self._collapsed(history)
        if seen is None:
            return None
        raised = history.active.get("lr_too_high")
        critical = seen.hopeless or seen.loss > 1.5 * seen.limit or (raised is not None and raised.severity == "critical")
        return Sign(
            severity="critical" if critical else "warning",
            headline=f"loss {seen.loss:.3g}: {seen.says}",
            why="Steps this long jump over every valley: the network ends where knowing nothing would have left it.",
            evidence={"loss": seen.loss, "knowing nothing": ignorance(history), "lr": base_lr(history)},
            remedies=_remedies(history),
            conclusive=seen.hopeless,
        )

    def _lost(self, history: History) -> Seen | None:
        """A loss that rose and rose until it was no number."""
        recent = last_losses(history, 2 * EARLY)
        known = recent[: int(np.argmin(np.isfinite(recent)))]
        limit = self._limit(history)
        if "lr_too_high" in history.active and not np.isfinite(recent).any():
            return Seen("it left the numbers", float(recent[-1]), limit, hopeless=True)
        if np.isfinite(recent).all() or len(known) < 2 or not known[-2:].max() > max(2 * limit, known[0]):
            return None
        return Seen(f"it rose from {first_loss(history):.3g}, then left the numbers", float(known.max()), limit, hopeless=True)

    def _stuck(self, history: History) -> Seen | None:
        """The first steps threw the weights and the loss about, and nothing has been learned since."""
        early, recent = history.steps[:EARLY], last_losses(history, width(history))
        limit, base = self._limit(history), ignorance(history)
        thrown = np.count_nonzero(early["update_ratio"] > self.leap * (1 + 1e-6)) >= 2 and early["loss"].max() > limit
        if not thrown or history.step < EARLY + len(recent) or not NOTHING * base < recent.mean() < math.inf:
            return None
        if falling(recent, BACK * base):
            return None
        worst = float(early["loss"].max())
        if knows(history, LITTLE if worst > FAR * limit else 0.0):
            return None
        return Seen(
            f"the first steps threw it up to {worst:.3g}, and it has learned nothing since", float(recent.mean()), limit
        )

    def _above(self, history: History) -> Seen | None:
        """All of the last levels are far above knowing nothing and above the start, and not on their way back."""
        recent = _levels(last_losses(history, self._lasting(history)), width(history))
        limit = self._limit(history)
        if not limit > 0 or not settled(history) or len(recent) < 2:
            return None
        if not limit * (1 + 1e-6) < recent.min() <= recent.max() < math.inf or self._comes_down(history):
            return None
        return Seen(f"for {self._lasting(history)} steps more than knowing nothing costs", float(recent.mean()), limit)

    def _collapsed(self, history: History) -> Seen | None:
        """It had learned something and is back where it began."""
        base = history.started.chance_loss if history.started else math.nan
        recent = _levels(last_losses(history, self._lasting(history)), width(history))
        before = levels(history)
        if not settled(history) or len(recent) < 2 or not before.min() < self.collapse * base * (1 - 1e-6):
            return None
        if not (LOWEST * base < recent.min() and NOTHING * base < recent.mean() < math.inf):
            return None
        if self._comes_down(history):
            return None
        return Seen(f"it was {before.min():.3g} and is back at chance", float(recent.mean()), base)

    def _comes_down(self, history: History) -> bool:
        return any(
            falling(last_losses(history, count), BACK * ignorance(history))
            for count in (self._lasting(history), width(history))
        )

    def _limit(self, history: History) -> float:
        """Too much: above the loss of knowing nothing, and above that of the start where it is more."""
        known = history.started is not None and math.isfinite(history.started.chance_loss)
        return (self.above if known else self.grown) * max(ignorance(history), first_loss(history))

    def _lasting(self, history: History) -> int:
        return max(2 * width(history), min(self.steps, planned(history) // 10))


def _levels(losses: Floats, size: int) -> Floats:
    """Means over runs of `size` losses, the last one at the end."""
    return np.asarray(losses[len(losses) % size :].reshape(-1, size).mean(axis=1))


def _remedies(history: History) -> tuple[Remedy, ...]:
    lower = change_lr(history, 0.1)
    warm = setting(history, "schedule.warmup_epochs") == 0 and not has(history, "no_lr")
    rise = (Remedy(label="raise the rate over the first epoch", edits=(("schedule.warmup_epochs", "1"),), since="start"),)
    clip = switch_on(history, "grad_clip", "clip the gradients at norm 1", "{max_norm: 1.0}")
    return lower + (rise if warm else ()) + clip
