"""What several flags ask of a history: is it early, is it learning, how large is chance, what would a remedy change."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cockpit.runs.calendar import probe_gap
from cockpit.runs.events import Evaluated, Remedy
from cockpit.runs.history import History
from cockpit.runs.tables import Rows

Floats = NDArray[np.float64]

PROGRESS = 0.02
"""A loss that fell by this share of what there is to learn is progress."""
LEARNED = 0.75
"""A network that knows this share of what there is to know about the training images is no patient."""
SAMPLE = 256
"""Steps are averaged over at most so many, so that a look costs the same in a long run."""


def settled(history: History) -> bool:
    """Whether the warm-up and the first max(50 steps, 2 % of the run) are over."""
    started = history.started
    over = started is not None and history.step > max(50, started.warmup_steps, 0.02 * planned(history))
    return over and not rising(history)


def rising(history: History) -> bool:
    """Whether the learning rate still rises: a warm-up, declared or not."""
    rates = history.steps["lr"][-max(20, planned(history) // 20) :]
    return len(rates) > 1 and float(rates[-1]) > 1.02 * float(rates[0])


def learnable(history: History) -> float:
    """Loss between knowing only the class shares and knowing everything; NaN where chance is unknown."""
    return history.started.chance_loss - history.started.loss_floor if history.started else math.nan


class Mean(NamedTuple):
    """A mean and its standard error."""

    value: float
    error: float


def mean(values: Floats) -> Mean:
    """Of at least two values."""
    return Mean(float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values)))


def last_losses(history: History, count: int) -> Floats:
    """The training loss of the last steps, (<= count,), less those that a trick held back."""
    return losses_of(history.steps[-count:])


def recent_loss(history: History, count: int) -> float:
    """The mean of the last training losses; NaN where there are none."""
    losses = last_losses(history, count)
    return float(losses.mean()) if len(losses) else math.nan


def losses_of(rows: Rows) -> Floats:
    """The training loss of some steps, less those that a trick held back."""
    losses = rows["loss"].astype(np.float64)
    held = rows["held"] > 0
    return losses[~held] if held.any() else losses


def significantly_less(new: Mean, old: Mean, by: float) -> bool:
    """Whether a mean fell by more than `by` and by more than twice the standard error of the difference."""
    return old.value - new.value > max(by, 2 * math.hypot(new.error, old.error))


def progressing(history: History) -> bool:
    """Whether the training loss still falls: by PROGRESS of what is learnable, over an epoch, 200 steps or 10 % of the run.

    Loss above chance is cut off: from there to chance, nothing is learned. In short runs a quarter of the run stands for
    the 200 steps. Too few steps to tell count as progress.
    """
    started = history.started
    if started is None:
        return True
    window = max(started.steps_per_epoch, planned(history) // 10, min(200, planned(history) // 4), 40)
    rows = last_losses(history, window)
    part = min(len(rows) // 4, SAMPLE)
    if part < 5:
        return True
    old, new = (mean(np.minimum(some, started.chance_loss).astype(np.float64)) for some in (rows[:part], rows[-part:]))
    return significantly_less(new, old, PROGRESS * learnable(history))


def learned(history: History) -> bool:
    """Whether the network knows the training images: by the last evaluation's clean probe, else by the last losses."""
    started = history.started
    if started is None or not len(history.steps):
        return False
    if history.evaluations:
        seen = history.evaluations[-1]
        return seen.train_accuracy - started.chance_accuracy > LEARNED * (1 - started.chance_accuracy)
    return recent_loss(history, 20) - started.loss_floor < (1 - LEARNED) * learnable(history)


def gap(history: History) -> int:
    """Steps between two measurements of the gradient, as they now are."""
    return probe_gap(history.started.probe_every, history.step) if history.started else 1


def sampled(history: History, count: int) -> Rows:
    """The last rows of `steps` on which the gradient was measured, at most `count`, less those that a trick held back."""
    # The first 20 steps are all measured, the later ones every few: that many rows hold them all.
    rows = history.steps[-(count * gap(history) + 20) :]
    known: Rows = rows[~np.isnan(rows["grad_norm"]) & ~(rows["held"] > 0)][-count:]
    return known


def accuracy_error(accuracy: float, size: int) -> float:
    """The standard error of an accuracy over so many images; never less than half an image."""
    return max(math.sqrt(max(accuracy * (1 - accuracy), 0.0) / max(size, 1)), 0.5 / max(size, 1))


def guessing(history: History, seen: Evaluated) -> bool:
    """Whether the accuracy on the clean training images is within two standard errors of the largest class's share."""
    chance = history.started.chance_accuracy if history.started else 0.0
    return seen.train_accuracy <= chance + 2 * accuracy_error(chance, seen.probe_size)


def setting(history: History, path: str) -> Any:
    """What the recipe says at a path such as `optimizer.lr`, live edits included; None where it says nothing."""
    for edit in reversed(history.edits):
        if edit.live and edit.path == path:
            return edit.new
    node: Any = history.recipe
    for key in path.split("."):
        if not isinstance(node, dict) or key not in node:
            return None
        node = node[key]
    return node.get("name") if isinstance(node, dict) and path.startswith("model.") else node


def trick_on(history: History, name: str) -> bool:
    """Whether a toggle is on."""
    for edit in reversed(history.edits):
        if edit.live and edit.path == f"tricks.{name}":
            return edit.new.lower() not in ("off", "false", "null", "")
    return setting(history, f"tricks.{name}") not in (None, False)


def base_lr(history: History) -> float:
    """The learning rate that the schedule multiplies; without a recipe, the last one used."""
    try:
        return float(setting(history, "optimizer.lr"))
    except (TypeError, ValueError):
        return float(history.steps["lr"][-1]) if len(history.steps) else math.nan


def planned(history: History) -> int:
    """Steps of the whole run; of a loop that does not say how long it is, the steps so far."""
    return (history.started.total_steps if history.started else 0) or history.step


def has(history: History, trait: str) -> bool:
    """Whether anything in the plan has this tag or trait."""
    return history.started is not None and trait in history.started.traits


def change_lr(history: History, factor: float, since: str = "before") -> tuple[Remedy, ...]:
    """The learning rate times a factor, as a remedy; none where the rate is unknown or found by the optimizer itself.

    Weights that a rate has spoilt stay spoilt: so by default the run goes back to where it was well.
    """
    lr = base_lr(history) * factor
    if not lr > 0 or has(history, "no_lr"):
        return ()
    verb = "raise" if factor > 1 else "lower"
    return (Remedy(label=f"{verb} the learning rate to {lr:.3g}", edits=(("optimizer.lr", f"{lr:.3g}"),), since=since),)


def switch_on(history: History, name: str, label: str, knobs: str) -> tuple[Remedy, ...]:
    """A toggle as a remedy; none where it is on already."""
    return () if trick_on(history, name) else (Remedy(label=label, edits=((f"tricks.{name}", knobs),)),)


def choose(history: History, label: str, **wanted: str) -> tuple[Remedy, ...]:
    """Members of the model's choices (activation, init, norm) as one remedy; none where all of them are chosen already."""
    edits = tuple((f"model.{key}", value) for key, value in wanted.items() if str(setting(history, f"model.{key}")) != value)
    return (Remedy(label=label, edits=edits, since="start"),) if edits else ()


def normalise(history: History) -> tuple[Remedy, ...]:
    """Batch norm as a remedy; none where the network has norm layers already."""
    if setting(history, "model.norm") not in (None, "none"):
        return ()
    return (Remedy(label="normalise each layer over the batch", edits=(("model.norm", "batch"),), since="start"),)


def last_evaluation(history: History) -> Evaluated | None:
    """The evaluation that was just made."""
    return history.evaluations[-1] if history.evaluations else None
