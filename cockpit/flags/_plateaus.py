"""Whether a network that knows no more than a guess may be waiting on a plateau, as deep ones and hard tasks do."""

from cockpit.flags._curves import ratio
from cockpit.flags._shared import guessing, recent_loss, sampled
from cockpit.runs.history import History

LONGEST = 2000
"""Steps after the warm-up that a healthy network may rest at chance ..."""
SHARE = 0.3
"""... and no more than this share of a run that says how long it is. Parities of three bits and nine tanh layers took 0.2."""
DEAD = -5.0
"""Log10 of an update ratio below which nothing will move the network off it."""
THROWN = 1.1
"""A loss so many times chance is on no plateau: it was thrown there."""

WHY = "It may be a plateau: gradients and updates are alive. If it lasts until step {:,}, this becomes a warning."


def plateau_end(history: History) -> int:
    """The step until which a network at chance may be waiting."""
    started = history.started
    if started is None:
        return 0
    longest = min(LONGEST, SHARE * started.total_steps) if started.total_steps else LONGEST
    return started.warmup_steps + round(longest)


def waiting(history: History) -> bool:
    """Whether a network may yet leave its plateau: there is time, it moves, and its loss is not above that of a guess."""
    started = history.started
    if started is None or not history.step < plateau_end(history):
        return False
    gradients = sampled(history, 10)["grad_norm"]
    alive = gradients.any() if len(gradients) else True
    return bool(alive) and not ratio(history) < DEAD and not recent_loss(history, 20) > THROWN * started.chance_loss


def rests_at_chance(history: History) -> bool:
    """Whether the last evaluation found a guess and the network may be waiting: a line through its losses tells nothing."""
    return bool(history.evaluations) and guessing(history, history.evaluations[-1]) and waiting(history)
