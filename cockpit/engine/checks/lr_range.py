"""The learning-rate range test: ordinary steps of the recipe under a rate that grows geometrically (Smith 2017,
arXiv 1506.01186). What it suggests holds for the first steps; a rate that starts well may fail later.
"""

import math
from collections.abc import Iterator

from torch import Tensor

from cockpit.engine.checks.found import Found
from cockpit.engine.checks.untouched import untouched
from cockpit.engine.loop import advance
from cockpit.engine.training import Training
from cockpit.travel import Setback

MEMORY = 0.95
"""Of the running mean that says when to end."""
HOPELESS = 4.0
"""The sweep ends where that mean is this many times its least."""


def lr_range(job: Training, *, low: float = 1e-6, high: float = 10.0, steps: int = 100) -> Found:
    """Sweep the learning rate from low to high over so many steps."""
    if "no_lr" in job.recipe.optimizer.contract:
        return Found("lr_range", True, f"{job.recipe.optimizer.card.name} finds its own learning rate: nothing to sweep")
    with untouched(job):
        curve = smoothed(list(_sweep(job, low, high, steps)))
    steepest, ceiling = suggested(curve)
    now = job.recipe.optimizer.lr
    if not math.isfinite(steepest):
        return Found("lr_range", False, "the loss did not fall at any learning rate", curve=tuple(curve), axes=AXES)
    least, most = min(steepest, ceiling / 10), ceiling / 3
    words = f"falls fastest at {steepest:.2g}, lowest at {ceiling:.2g}: try {least:.1g} to {most:.1g}"
    verdict = f"; the recipe's {now:.2g} lies beyond" if now > ceiling else f"; the recipe has {now:.2g}"
    numbers = {"steepest": steepest, "ceiling": ceiling, "now": now}
    return Found("lr_range", now <= ceiling, f"the loss {words}{verdict}", (), numbers, tuple(curve), AXES)


AXES = ("learning rate", "smoothed loss")


def _sweep(job: Training, low: float, high: float, steps: int) -> Iterator[tuple[float, float]]:
    """(rate, loss) at each step, until the loss is lost."""
    mean, least = 0.0, math.inf
    job.model.train()
    for number, places in zip(range(steps), _endless(job), strict=False):
        rate = low * (high / low) ** (number / (steps - 1))
        try:
            loss = float(advance(job, places, rate).loss)
        except Setback:
            return
        job.step %= job.total_steps
        mean = MEMORY * mean + (1 - MEMORY) * loss
        running = mean / (1 - MEMORY ** (number + 1))
        least = min(least, running)
        if not math.isfinite(loss) or running > HOPELESS * least:
            return
        yield rate, loss


def smoothed(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Each loss as the mean over a tenth of the sweep around it, up to where that is hopeless.

    A running mean would lag by more than a decade of the rate, and call rates good that were lost already.
    """
    losses, reach = [loss for _, loss in points], _reach(points)
    curve = []
    for number, (rate, _) in enumerate(points):
        side = min(reach, number, len(points) - 1 - number)
        mean = sum(losses[number - side : number + side + 1]) / (2 * side + 1)
        curve.append((rate, mean))
        if mean > HOPELESS * min(loss for _, loss in curve):
            return curve[:-1]
    return curve


def _reach(points: list[tuple[float, float]]) -> int:
    """Half of a tenth, in points."""
    return max(1, len(points) // 20)


def _endless(job: Training) -> Iterator[Tensor]:
    while True:
        yield from job.rest_of_epoch()


def suggested(curve: list[tuple[float, float]]) -> tuple[float, float]:
    """The rate at which the loss falls steepest per decade, and the one at its least; nan where it never fell.

    A slope is taken over a tenth of the curve: from one step to the next the batches differ more than the rates do.
    """
    reach = _reach(curve)
    least = min(range(len(curve)), key=lambda number: curve[number][1], default=0)
    middles = range(max(len(curve) // 10, reach), min(least + 1, len(curve) - reach))
    ends = [(curve[i - reach], curve[i], curve[i + reach]) for i in middles]
    falls = [((after[1] - before[1]) / math.log(after[0] / before[0]), at[0]) for before, at, after in ends]
    slope, rate = min(falls, default=(0.0, math.nan))
    return (rate, curve[least][0]) if slope < 0 else (math.nan, math.nan)
