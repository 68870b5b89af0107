"""Regularisation that leaves nothing to learn with."""

import math
from typing import ClassVar

import numpy as np

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Sign
from cockpit.flags._brakes import Decay, decay_of, dropout_of
from cockpit.flags._evaluations import agree, classifies, improving, known, stalled
from cockpit.flags._shared import (
    base_lr,
    guessing,
    learnable,
    learned,
    planned,
    recent_loss,
    setting,
    settled,
)
from cockpit.runs.events import Remedy
from cockpit.runs.history import History
from cockpit.runs.tables import Rows

USUAL = 5e-4
"""A coupled decay that suits most networks."""
USUAL_APART = 0.05
"""The same where the decay is multiplied by the learning rate alone."""
HALF = 100
"""Healthy decays take thousands of steps to halve weights that no gradient moves."""
FELT = 0.1
"""A decay that over the whole run takes a smaller share of the weights than this is to blame for nothing."""


@card(
    "over_regularised",
    when="Neither split is learned, and weight decay or dropout is far above what is usual.",
    beware="Near a loss of zero the decay rightly outweighs the gradient; a decoupled decay shrinks weights late by design.",
    source="Ben Braiek and Khomh 2023, TheDeepChecker (TOSEM); Krogh and Hertz 1992, NIPS; Srivastava et al. 2014, JMLR 15",
)
class OverRegularised(Flag):
    """The loss rests high while the weights are pulled to 0 harder than the data move them, or most of the signal is dropped.

    Weight decay: its gradient is many times that of the data, or the weights lost half of their norm. Dropout: more than half
    of a layer is dropped, or training mode knows far less than evaluation mode, and both know little.
    """

    moment: ClassVar[Moment] = "rows"
    needed: ClassVar[int] = 2
    of_last: ClassVar[int] = 3
    causes: ClassVar[tuple[str, ...]] = (
        *("non_finite", "input_scale", "bad_initial_loss", "output_loss_mismatch", "symmetric_init"),
    )

    ratio: float = knob(2.0, above=0, high=1000, help="gradient of the decay over that of the data, in the median layer")
    looks: int = knob(5, low=1, high=100, help="measured steps in a row that must show it")
    shrunk: float = knob(0.5, above=0, below=1, help="share of the norm of the weights that is lost, in the median layer")
    drop: float = knob(0.5, above=0, below=1, help="share that dropout may set to 0")
    target: float = knob(0.5, above=0, below=1, help="share of what there is to know above which dropout is not to blame")

    def look(self, history: History) -> Sign | None:
        """Silent while the loss falls and where most is known."""
        if history.started is None or not settled(history) or learned(history):
            return None
        rests = stalled(history)
        return self._decay(history, rests) or (self._dropout(history) if rests else None)

    def _decay(self, history: History, rests: bool) -> Sign | None:
        """A decay that halves the weights within HALF steps and has done so is to blame while the loss still falls, too."""
        assert history.started is not None
        decay = decay_of(history)
        a_step = decay.lam * base_lr(history)
        chance = history.started.chance_loss
        high = recent_loss(history, 40) >= chance - 0.5 * learnable(history)
        if not high or not a_step * planned(history) > FELT + 1e-6:
            return None
        first, last = _first_and_last(history, self.looks)
        if not len(last) or not len(first):
            return None
        ratio = float(np.median(decay.lam * last["weight_norm"] / np.maximum(last["grad_norm"], 1e-30), axis=1).min())
        left = float(np.median(last["weight_norm"][-1] / np.maximum(first["weight_norm"][0], 1e-30)))
        pulls = decay.coupled and ratio >= self.ratio - 1e-6
        shrank = left < 1 - self.shrunk - 1e-6
        fast = shrank and a_step * HALF > math.log(2)
        if not fast and not (rests and (pulls or shrank)):
            return None
        return Sign(
            severity="warning",
            headline=f"weight decay {decay.lam:.3g} pulls {ratio:.1f} times as hard as the data"
            if pulls
            else f"weight decay {decay.lam:.3g} has shrunk the weights to {left:.0%} of their norm",
            why="The weights go where the decay drives them, to 0, and not where the images would.",
            evidence={"weight decay": decay.lam, "decay over data": ratio, "norm left": left},
            remedies=_less_decay(history, decay),
            conclusive=fast or (pulls and shrank),
        )

    def _dropout(self, history: History) -> Sign | None:
        """After a quarter of a short run or 200 steps."""
        started = history.started
        if started is None or not history.evaluations or not classifies(history):
            return None
        patience = max(started.steps_per_epoch, min(200, planned(history) // 4))
        seen, drop = history.evaluations[-1], dropout_of(history)
        share = known(seen.train_accuracy, started.chance_accuracy)
        if history.step < started.warmup_steps + patience or share >= self.target or not agree(seen):
            return None
        if not guessing(history, seen) and improving(history):
            return None
        noisy = known(seen.train_mode_accuracy, started.chance_accuracy)
        drowned = share > 0.1 and noisy < share / 2
        if not (drop.share > self.drop + 1e-6 or drowned):
            return None
        return Sign(
            severity="warning",
            headline=f"dropout of {drop.share:.0%}, and {seen.train_accuracy:.0%} of the clean training images are right"
            if drop.share > self.drop + 1e-6
            else f"{seen.train_mode_accuracy:.0%} of the clean training images are right with dropout, "
            f"{seen.train_accuracy:.0%} without",
            why="So much of the signal is dropped that what is left is noise.",
            evidence={"dropout": drop.share, "clean training accuracy": seen.train_accuracy},
            remedies=(Remedy(label="train without dropout", edits=drop.edits, since="start"),),
        )


def _less_decay(history: History, decay: Decay) -> tuple[Remedy, ...]:
    """A hundredth of it, or what is usual; and the same with a rate that ends low, which the shrinking had made up for."""
    less = f"{min(decay.lam / 100, USUAL if decay.coupled else USUAL_APART):.2g}"
    label, edits = f"lower the weight decay to {less}", ((decay.path, less),)
    alone = Remedy(label=label, edits=edits, since="before")
    if setting(history, "schedule.name") not in ("constant", None):
        return (alone,)
    falling = (("schedule", "cosine"),)
    return alone, Remedy(label=f"{label}, and let the rate fall to the end", edits=edits + falling, since="before")


def _first_and_last(history: History, count: int) -> tuple[Rows, Rows]:
    """The trained layers at the first measured step and at the last `count`: (1, layers) and (count, layers)."""
    assert history.started is not None
    layers = [place for place, layer in enumerate(history.started.layers) if layer.trained]
    every, wide = len(history.started.layers), history.layers
    empty = wide[:0]
    if not layers:
        return empty, empty
    head, tail = wide[: 3 * every], wide[-(2 * count + 2) * every :]
    head, tail = (some[~np.isnan(some["weight_norm"])] for some in (head, tail))
    if len(head) < every or len(tail) < count * every:
        return empty, empty
    return head[:every].reshape(1, every)[:, layers], tail[-count * every :].reshape(count, every)[:, layers]
