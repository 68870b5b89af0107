"""What the flags about the learning rate ask of the curves: levels of the loss, where the rate stands, how far weights go."""

import math

import numpy as np

from cockpit.flags._shared import (
    LEARNED,
    Floats,
    Mean,
    gap,
    guessing,
    last_losses,
    learnable,
    learned,
    losses_of,
    mean,
    planned,
    progressing,
    recent_loss,
    sampled,
)
from cockpit.runs.history import History

PLACES = 64
"""Levels of the loss that are looked at over a whole run, so that a look costs the same in a long one."""


def width(history: History) -> int:
    """Steps that make one level of the loss: 20, and in small batches as many as show 1,000 images, up to 200."""
    batch = history.started.batch_size if history.started else 0
    return min(200, max(20, 1000 // max(batch, 1)))


def levels(history: History) -> Floats:
    """Means of the training loss over `width` steps, spread evenly over the run so far up to its end, (<= PLACES,)."""
    size = width(history)
    steps = history.steps
    count = min(PLACES, len(steps) // size)
    ends = np.unique(np.linspace(size, len(steps), count).astype(int)) if count else ()
    known = [losses_of(steps[end - size : end]) for end in ends]
    return np.array([some.mean() for some in known if len(some)])


def first_loss(history: History) -> float:
    """The training loss before the weights moved far: the first batch, or the fresh network where that was worse."""
    losses = history.steps["loss"][:1]
    known = [float(loss) for loss in losses if math.isfinite(loss)]
    if history.measured and math.isfinite(history.measured.loss):
        known.append(history.measured.loss)
    return max(known, default=math.nan)


def ignorance(history: History) -> float:
    """The loss that knowing nothing costs: that of the class shares, else the mean of the first ten losses; NaN if unknown."""
    chance = history.started.chance_loss if history.started else math.nan
    early = history.steps["loss"][:10].astype(np.float64)
    return chance if math.isfinite(chance) else float(early.mean()) if len(early) == 10 else math.nan


def to_learn(history: History) -> float:
    """Loss between knowing nothing and knowing everything, as far as either is known."""
    known = learnable(history)
    floor = history.started.loss_floor if history.started else 0.0
    return known if math.isfinite(known) else ignorance(history) - floor


def falling(losses: Floats, by: float = 0.0) -> bool:
    """Whether the second half of some losses is below the first, by more than `by` and twice the standard error."""
    half = len(losses) // 2
    if half < 2:
        return True
    old, new = mean(losses[:half]), mean(losses[half:])
    return old.value - new.value > max(by, 2 * math.hypot(old.error, new.error))


def learning(history: History) -> bool:
    """Whether the loss falls, by what is learnable, or by itself where that is unknown."""
    if math.isfinite(learnable(history)):
        return progressing(history)
    return falling(last_losses(history, max(200, planned(history) // 10)))


def done(history: History) -> bool:
    """Whether little is left to learn: by the clean training images, or by the loss, where a loop tells no accuracy on them."""
    if learned(history):
        return True
    floor = history.started.loss_floor if history.started else 0.0
    return recent_loss(history, 20) - floor < (1 - LEARNED) * to_learn(history)


def knows(history: History, share: float = 0.0) -> bool:
    """Whether the last evaluation found more than a guess, and more than a share of what there is to know.

    Curves mislead more easily. It counts while it is no older than an epoch.
    """
    started = history.started
    if started is None or not history.evaluations or not math.isfinite(started.chance_accuracy):
        return False
    seen = history.evaluations[-1]
    if history.step - seen.step > started.steps_per_epoch or not math.isfinite(seen.train_accuracy):
        return False
    return not guessing(history, seen) and seen.train_accuracy - started.chance_accuracy > share * (1 - started.chance_accuracy)


def lr_curve(history: History) -> Floats:
    """The learning rate over the run so far, thinned to about 256 places, the last one its last."""
    rates = history.steps["lr"]
    thin = rates[:: max(1, len(rates) // 256)].astype(np.float64)
    return np.append(thin, float(rates[-1])) if len(rates) else thin


def restarted(history: History) -> bool:
    """Whether the rate ever fell below half of its peak and rose again to twice where it was."""
    rates = lr_curve(history)
    if not len(rates):
        return False
    low = np.minimum.accumulate(np.where(rates < 0.5 * np.maximum.accumulate(rates), rates, np.inf))
    return bool((rates > 2 * low).any())


def ratio(history: History, count: int = 10) -> float:
    """Mean log10 of the update ratio over the last `count` measured steps; NaN where half of them are unknown."""
    seen = sampled(history, count)["update_ratio"].astype(np.float64)
    seen = seen[np.isfinite(seen) & (seen > 0)]  # a step that was skipped changed nothing
    return float(np.log10(seen).mean()) if 2 * len(seen) >= count else math.nan


def largest_ratio(history: History) -> float:
    """The largest of the log10 update ratios of five stretches of the run, from its first steps to its last; NaN if unknown."""
    ratios, size = history.steps["update_ratio"], 10 * gap(history) + 20
    starts = np.linspace(0, max(len(ratios) - size, 0), 5).astype(int)
    stretches = [ratios[start : start + size].astype(np.float64) for start in starts]
    known = [np.log10(np.maximum(some[np.isfinite(some)], 1e-12)) for some in stretches]
    return max((float(some.mean()) for some in known if len(some) >= 5), default=math.nan)


def wanted_ratio(history: History) -> float:
    """The log10 update ratio that lets weights travel as far as they are long within the plan; between -3 and -2."""
    return min(-2.0, max(-3.0, -math.log10(max(planned(history), 1))))


def slope(values: Floats) -> Mean:
    """The straight line's fall or rise a step, and its standard error, of at least two values."""
    at = np.arange(len(values)) - (len(values) - 1) / 2
    spread = float((at**2).sum())
    steep = float((at * values).sum()) / spread
    rest = values - values.mean() - steep * at
    return Mean(steep, math.sqrt(float((rest**2).sum()) / max(len(values) - 2, 1) / spread))
