"""The network learns its training images by heart."""

from typing import Any, ClassVar, NamedTuple

import numpy as np

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Sign
from cockpit.flags._curves import slope
from cockpit.flags._shared import Floats, accuracy_error, learnable, setting, switch_on, trick_on
from cockpit.runs.events import Evaluated, Remedy
from cockpit.runs.history import History


class Curves(NamedTuple):
    """One value an evaluation."""

    train_loss: Floats
    train_accuracy: Floats
    val_loss: Floats
    val_accuracy: Floats


@card(
    "overfitting",
    when="A small data set, a large network, a long run.",
    beware="A validation loss that rises while the accuracy rises too is over-confidence: worth a note and no more.",
    source="Prechelt 1998, Early stopping - but when?; gaps from Zhang et al. 2021, AutoTrainer (ICSE)",
)
class Overfitting(Flag):
    """The validation loss rises while the loss on the clean training images still falls.

    A warning if moreover the validation accuracy does not rise and is well below the training accuracy; else a note.
    """

    moment: ClassVar[Moment] = "evaluation"
    needed: ClassVar[int] = 1
    of_last: ClassVar[int] = 1
    quiet: ClassVar[int] = 4
    causes: ClassVar[tuple[str, ...]] = ("non_finite", "train_eval_gap", "labels_or_split_broken")

    patience: int = knob(3, low=1, high=100, help="evaluations in a row for which the validation loss must be up")
    rise: float = knob(0.05, above=0, high=10, help="share by which it must be above its best")
    gap: float = knob(
        0.10, low=0, below=1, help="accuracy on training images above that on validation images that is a warning"
    )
    gap_high: float = knob(0.07, low=0, below=1, help="the same, where the training accuracy is above 0.9")

    def look(self, history: History) -> Sign | None:
        """Compares the last `patience` evaluations with the one of the least validation loss before them."""
        seen = history.evaluations
        if len(seen) <= self.patience:
            return None
        curves = _curves(seen)
        if not np.isfinite(curves.val_loss).all():
            return None
        best = int(np.argmin(curves.val_loss[: -self.patience]))
        if not (self._val_is_up(curves.val_loss, history) and _train_falls(curves, best, history)):
            return None
        gap = float(curves.train_accuracy[-1] - curves.val_accuracy[-self.patience :].mean())
        sick = self._wide(gap, seen[-1]) and not self._accuracy_rises(curves, best, seen[-1], warned=_warned(history))
        up = curves.val_loss[-1] / curves.val_loss[best] - 1
        return Sign(
            severity="warning" if sick else "info",
            headline=f"val loss {up:.0%} above its best of epoch {seen[best].epoch}, training loss still falling",
            why="What the network learns now holds for the training images only.",
            evidence={
                "val loss": seen[-1].val_loss,
                "best val loss": seen[best].val_loss,
                "best epoch": float(seen[best].epoch),
                "accuracy gap": gap,
            },
            remedies=_remedies(history),
        )

    def _val_is_up(self, losses: Floats, history: History) -> bool:
        """Above the best by `rise`, by three times its noise and by 1 % of what is learnable; and not on its way back.

        Once the flag is up, a mean that is up by two thirds of `rise` keeps it up: noise should not switch it.
        """
        recent, least = losses[-self.patience :], float(_smooth(losses[: -self.patience]).min())
        by = max(self.rise * least, 0.01 * learnable(history)) * (1 + 1e-6)
        if "overfitting" in history.active:
            return bool(recent.mean() > least + by * 2 / 3)
        by = max(by, 3 * _noise(losses[-12:]))
        return bool((recent > least + by).all() and recent[-1] >= recent[0] - max(by, 0.05 * recent[0]))

    def _wide(self, gap: float, seen: Evaluated) -> bool:
        limit = self.gap_high if seen.train_accuracy > 0.9 else self.gap
        return gap > max(limit + 1e-6, 2 * accuracy_error(seen.val_accuracy, seen.val_size))

    def _accuracy_rises(self, curves: Curves, best: int, seen: Evaluated, *, warned: bool) -> bool:
        """Against the later half of the time since the best loss: a rise that has ended is no excuse.

        While that time is short, any rise counts. Once the flag has warned, only a rise beyond the noise takes that back.
        """
        since, long = len(curves.val_accuracy) - 1 - best, 2 * self.patience
        middle = (best + len(curves.val_accuracy) - self.patience) // 2
        then, now = curves.val_accuracy[middle : -self.patience].mean(), curves.val_accuracy[-self.patience :].mean()
        risen = bool(now > then + accuracy_error(float(then), seen.val_size))
        if warned:
            return risen
        if since < long:
            return bool(now > then)
        return risen or _climbs(curves.val_accuracy[-max(long, since // 2) :])


def _warned(history: History) -> bool:
    """Whether it stands at warning already."""
    return "overfitting" in history.active and history.active["overfitting"].severity != "info"


def _climbs(values: Floats) -> bool:
    """Whether a straight line through them rises by more than twice its own error: all are of the same images, so that they
    differ by less than accuracies of different ones would."""
    line = slope(values)
    return line.value > max(2 * line.error, 0)


def _curves(seen: list[Evaluated]) -> Curves:
    return Curves(*(np.array([getattr(one, name) for one in seen]) for name in Curves._fields))


def _smooth(losses: Floats) -> Floats:
    """Means over up to three neighbours: the least of many noisy values is too low by chance."""
    padded = np.pad(losses, 1, constant_values=np.nan)
    return np.asarray(np.nanmean([padded[:-2], padded[1:-1], padded[2:]], axis=0))


def _noise(losses: Floats) -> float:
    """Standard deviation about a smooth curve, from the median second difference: a turn of the curve is no noise."""
    return 1.4826 * float(np.median(np.abs(np.diff(losses, 2)))) / 6**0.5 if len(losses) > 2 else 0.0


def _train_falls(curves: Curves, best: int, history: History) -> bool:
    then, now = curves.train_loss[best], curves.train_loss[-1]
    return bool(then - now > max(0.05 * then, 0.0005 * learnable(history)))


def _remedies(history: History) -> tuple[Remedy, ...]:
    height = history.started.data.height if history.started else 32
    pad = max(1, height // 8)
    return (
        Remedy(label="stop, keep the best weights", edits=_stop_early(history), verb="stop"),
        *switch_on(history, "dropout", "add dropout 0.2", "{p: 0.2}"),
        *switch_on(history, "random_crop", f"shift the images by up to {pad} pixels", f"{{pad: {pad}}}"),
        *_more_decay(setting(history, "optimizer.weight_decay")),
    )


def _stop_early(history: History) -> tuple[tuple[str, str], ...]:
    """So that the next run of this recipe stops by itself, and keeps the weights of the least validation loss.

    The accuracy would rank weights above them whose loss is already far up.
    """
    if trick_on(history, "early_stopping"):
        return ()
    return (("tricks.early_stopping", "{patience: 3}"), ("score", "log_loss"))


def _more_decay(now: Any) -> tuple[Remedy, ...]:
    try:
        decay = min(max(10 * float(now), 5e-4), 0.1)
    except (TypeError, ValueError):
        return ()
    return (Remedy(label=f"raise the weight decay to {decay:.3g}", edits=(("optimizer.weight_decay", f"{decay:.3g}"),)),)
