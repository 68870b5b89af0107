"""Gradients that outgrow themselves and take the loss along."""

import math
from typing import ClassVar, NamedTuple

import numpy as np

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Sign
from cockpit.flags._shared import (
    Mean,
    change_lr,
    last_losses,
    learnable,
    mean,
    sampled,
    setting,
    settled,
    significantly_less,
    switch_on,
)
from cockpit.runs.events import Remedy
from cockpit.runs.history import History

RECENT = 5
"""Measured steps that are judged against those before them."""
BASELINE = 100
"""Measured steps before them that make the baseline."""
FEW = 10
"""Fewer measured steps than this are no baseline."""
BOUND = 5.0
"""A loss so many times that of the fresh network is out of all bounds: healthy networks stayed below 1.2 times."""


class Growth(NamedTuple):
    """What grew, and whether one look at it is proof."""

    norm: float
    usual: float
    loss: float
    before: float
    proof: bool


WARM_UP = Remedy(label="raise the learning rate over the first epoch", edits=(("schedule.warmup_epochs", "1"),))


@card(
    "exploding_gradient",
    when="The loss jumps up and stays there.",
    beware="Large gradients alone are normal in many networks, and a spike that recovers is no illness.",
    source="Pascanu et al. 2013, arXiv 1211.5063; thresholds calibrated on our cases",
)
class ExplodingGradient(Flag):
    """The gradient norm is many times its usual size while the loss is up.

    Usual is the median of the 100 measured steps before, or the norm of the very first step if that is smaller. Where the
    loss is five times that of the fresh network as well, one look is proof, in the first steps too.
    """

    moment: ClassVar[Moment] = "rows"

    factor: float = knob(10.0, above=1, high=1e6, help="times the usual gradient norm")
    rise: float = knob(0.2, low=0, high=100, help="share by which the loss must be above what it was")

    def look(self, history: History) -> Sign | None:
        """Critical where the loss is far above chance as well."""
        started = history.started
        if started is None:
            return None
        seen = _blown_up(history, self.factor) or (_outgrown(history, self.factor, self.rise) if settled(history) else None)
        if seen is None:
            return None
        return Sign(
            severity="critical" if seen.proof or seen.loss > 1.5 * started.chance_loss else "warning",
            headline=f"gradient norm {seen.norm / seen.usual:.3g} times its usual {seen.usual:.3g}, "
            f"loss up from {seen.before:.3g} to {seen.loss:.3g}",
            why="Steps this large throw the weights about instead of improving them; the next stop is NaN.",
            evidence={"gradient norm": seen.norm, "usual": seen.usual, "loss": seen.loss, "loss before": seen.before},
            remedies=_remedies(history, seen.usual),
            conclusive=seen.proof,
        )


def _blown_up(history: History, factor: float) -> Growth | None:
    """Three of five measured steps, some time in the last two blocks, with gradient and loss out of all bounds."""
    fresh = _fresh(history)
    rows = sampled(history, 20 + RECENT)
    if not fresh > 0 or not len(rows) or (rows["loss"] <= BOUND * fresh).all():
        return None
    usual = _first(history)
    wild = (rows["grad_norm"] > factor * usual) & ~(rows["loss"] <= BOUND * fresh)
    if np.convolve(wild, np.ones(RECENT)).max(initial=0) < 3:
        return None
    worst = rows[wild]
    return Growth(float(np.median(worst["grad_norm"])), usual, float(np.median(worst["loss"])), fresh, proof=True)


def _fresh(history: History) -> float:
    """The loss of the fresh network or of chance, whichever is larger; in a loop that tells neither, of the first step."""
    known = [
        history.measured.loss if history.measured else math.nan,
        history.started.chance_loss if history.started else math.nan,
    ]
    known = [loss for loss in known if math.isfinite(loss)] or [float(loss) for loss in history.steps["loss"][:1]]
    return max(known, default=math.nan)


def _outgrown(history: History, factor: float, rise: float) -> Growth | None:
    """Three of the last five measured steps with a gradient too large, and the loss significantly up."""
    loss = _loss_up(history, rise)
    rows = sampled(history, RECENT + BASELINE)
    if loss is None or len(rows) < RECENT + FEW:
        return None
    usual = min(float(np.median(rows["grad_norm"][:-RECENT])), _first(history))
    recent = rows["grad_norm"][-RECENT:]
    if not usual > 0 or np.count_nonzero(recent > factor * usual * (1 + 1e-6)) < 3:
        return None
    return Growth(float(np.median(recent)), usual, loss[1], loss[0], proof=False)


def _first(history: History) -> float:
    """The gradient norm of the first measured step that has one."""
    early = history.steps["grad_norm"][:20]
    known = early[np.isfinite(early) & (early > 0)]
    return float(known[0]) if len(known) else float("inf")


def _loss_up(history: History, rise: float) -> tuple[float, float] | None:
    """(before, now) where the mean loss of the last 20 steps is above the lower quartile of the 380 before; else None."""
    losses = last_losses(history, 20 * 20)
    blocks = losses[len(losses) % 20 :].reshape(-1, 20)
    if len(blocks) < 2:
        return None
    means = blocks.mean(axis=1)
    before = float(np.sort(means[:-1])[(len(means) - 1) // 4])
    if history.measured and math.isfinite(history.measured.loss):
        before = min(before, history.measured.loss)
    by = max(rise * before, 0.1 * learnable(history)) * (1 + 1e-6)
    if not before + by < means[-1] < np.inf:
        return None
    now = mean(blocks[-1])
    return (before, now.value) if significantly_less(Mean(before, now.error), now, by) else None


def _remedies(history: History, usual: float) -> tuple[Remedy, ...]:
    limit = min(max(float(f"{usual:.1g}"), 1e-3), 100.0)
    clip = switch_on(history, "grad_clip", f"clip the gradients at norm {limit:g}", f"{{max_norm: {limit:g}}}")
    warm = setting(history, "schedule.warmup_epochs") == 0
    return change_lr(history, 0.1) + clip + ((WARM_UP,) if warm else ())
