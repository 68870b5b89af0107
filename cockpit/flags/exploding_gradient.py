"""Gradients that outgrow themselves and take the loss along."""

from typing import ClassVar

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
from cockpit.runs.tables import Rows

RECENT = 5
"""Measured steps that are judged against those before them."""
BASELINE = 100
"""Measured steps before them that make the baseline."""
FEW = 10
"""Fewer measured steps than this are no baseline."""


WARM_UP = Remedy(label="raise the learning rate over the first epoch", edits=(("schedule.warmup_epochs", "1"),))


@card(
    "exploding_gradient",
    when="The loss jumps up and stays there.",
    beware="Large gradients alone are normal in many networks, and a spike that recovers is no illness.",
    source="Pascanu et al. 2013, arXiv 1211.5063; thresholds calibrated on our cases",
)
class ExplodingGradient(Flag):
    """The gradient norm is many times its usual size while the loss is up.

    Usual is the median of the 100 measured steps before, or that of the first three if it is smaller.
    """

    moment: ClassVar[Moment] = "rows"
    causes: ClassVar[tuple[str, ...]] = ("non_finite",)

    factor: float = knob(10.0, above=1, high=1e6, help="times the usual gradient norm")
    rise: float = knob(0.2, low=0, high=100, help="share by which the loss must be above what it was")

    def look(self, history: History) -> Sign | None:
        """Critical where the loss is far above chance as well."""
        started = history.started
        if started is None or not settled(history):
            return None
        loss = _loss_up(history, self.rise)
        if loss is None:
            return None
        rows = sampled(history, RECENT + BASELINE)
        if len(rows) < RECENT + FEW:
            return None
        usual = _usual(history, rows)
        recent = rows["grad_norm"][-RECENT:]
        if not usual > 0 or np.count_nonzero(recent > self.factor * usual * (1 + 1e-6)) < 3:
            return None
        times = float(np.median(recent)) / usual
        return Sign(
            severity="critical" if loss[1] > 1.5 * started.chance_loss else "warning",
            headline=f"gradient norm {times:.3g} times its usual {usual:.3g}, loss up from {loss[0]:.3g} to {loss[1]:.3g}",
            why="Steps this large throw the weights about instead of improving them; the next stop is NaN.",
            evidence={"gradient norm": float(np.median(recent)), "usual": usual, "loss": loss[1], "loss before": loss[0]},
            remedies=_remedies(history, usual),
        )


def _loss_up(history: History, rise: float) -> tuple[float, float] | None:
    """(before, now) where the mean loss of the last 20 steps is above the lower quartile of the 380 before; else None."""
    losses = last_losses(history, 20 * 20)
    blocks = losses[len(losses) % 20 :].reshape(-1, 20)
    if len(blocks) < 2:
        return None
    means = blocks.mean(axis=1)
    before = float(np.sort(means[:-1])[(len(means) - 1) // 4])
    if history.measured:
        before = min(before, history.measured.loss)
    by = max(rise * before, 0.1 * learnable(history)) * (1 + 1e-6)
    if not means[-1] > before + by:
        return None
    now = mean(blocks[-1])
    return (before, now.value) if significantly_less(Mean(before, now.error), now, by) else None


def _usual(history: History, rows: Rows) -> float:
    first = history.steps["grad_norm"][:3]
    early = first[np.isfinite(first)]
    before = float(np.median(rows["grad_norm"][:-RECENT]))
    return min(before, float(np.median(early))) if len(early) else before


def _remedies(history: History, usual: float) -> tuple[Remedy, ...]:
    limit = min(max(float(f"{usual:.1g}"), 1e-3), 100.0)
    clip = switch_on(history, "grad_clip", f"clip the gradients at norm {limit:g}", f"{{max_norm: {limit:g}}}")
    warm = setting(history, "schedule.warmup_epochs") == 0
    return change_lr(history, 0.1) + clip + ((WARM_UP,) if warm else ())
