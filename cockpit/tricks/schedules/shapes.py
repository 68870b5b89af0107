"""What several schedules are made of."""

import math

from cockpit.families import Schedule
from cockpit.travel import Clock

MOVING = ("moving_rate",)
"""The tag of every schedule that does not stay: a trick that cannot follow one names it."""
LATE = (*MOVING, "low_end")
"""Also the tag of those whose small rates come in the last part of the planned run."""


class OwnRise(Schedule):
    """Base of the shapes that draw their own rise: they run over the whole run, and the warm-up is ignored."""

    def factor(self, clock: Clock) -> float:
        """The shape over all steps of the run."""
        return self.shape(clock.step / max(1, clock.total), clock)


def glide(start: float, end: float, progress: float) -> float:
    """Half a cosine from start to end."""
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def line(start: float, end: float, progress: float) -> float:
    """A straight line from start to end."""
    return start + (end - start) * progress


def since_warm_up(schedule: Schedule, unit: str, clock: Clock) -> float:
    """Epochs or steps since the warm-up ended."""
    warm = min(round(schedule.warmup_epochs * clock.steps_per_epoch), clock.total)
    steps = clock.step - warm
    return steps / max(1, clock.steps_per_epoch) if unit == "epoch" else float(steps)
