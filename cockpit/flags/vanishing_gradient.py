"""Gradients that die out on their way back to the first layers."""

from typing import ClassVar, NamedTuple

import numpy as np

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Sign
from cockpit.flags._evaluations import stalled
from cockpit.flags._shared import (
    choose,
    gap,
    last_losses,
    learnable,
    learned,
    mean,
    setting,
    settled,
    significantly_less,
)
from cockpit.flags._stacks import fewer_layers, normed
from cockpit.runs.events import Remedy
from cockpit.runs.history import History
from cockpit.runs.tables import rows_until

SAMPLES = 4
"""Measured steps over which a layer's median is taken."""
FAR_BELOW = 0.1
"""The two shares of their limits, multiplied, below which there is no doubt."""


class Thirds(NamedTuple):
    """Medians over the layers of the first and of the last third."""

    early: float
    """RMS gradient over RMS weight."""
    late: float
    norm: float
    """Gradient norm of the early layers."""
    rms: float
    """RMS gradient of the early layers, per weight."""


@card(
    "vanishing_gradient",
    when="A deep network stays at chance.",
    beware="Near a loss of zero small gradients are success. A gradient of exactly zero is a dead path.",
    source="Zhang et al. 2021, AutoTrainer (ICSE), beta 1 and 2; Amazon SageMaker Debugger, rule VanishingGradient",
)
class VanishingGradient(Flag):
    """The first layers get next to no gradient, compared with the last ones, while the loss does not fall.

    While the loss falls it is worth a note and no more; where most is learned, not even that. In the first 50 steps only a
    network at chance is judged. Healthy ones stay a factor of 50 above the limits: far below both, one look is proof.
    """

    moment: ClassVar[Moment] = "rows"
    needed: ClassVar[int] = 2
    of_last: ClassVar[int] = 3
    causes: ClassVar[tuple[str, ...]] = (
        *("non_finite", "input_scale", "symmetric_init", "over_regularised", "saturated_activation", "dead_relu"),
    )

    ratio: float = knob(1e-3, above=0, below=1, help="relative gradient of the first third of the layers over that of the last")
    norm: float = knob(1e-4, above=0, high=1, help="gradient norm that the first layers must be below as well")
    tiny: float = knob(1e-7, above=0, high=1, help="gradient per weight that is too small whatever the others get")

    def look(self, history: History) -> Sign | None:
        """Warning while nothing is learned."""
        thirds = _thirds(history, self.norm, self.tiny) if settled(history) or _at_chance(history) else None
        if thirds is None or thirds.norm <= 0:
            return None
        below = thirds.early / thirds.late / self.ratio, thirds.norm / self.norm
        unequal = max(below) < 1 - 1e-6
        if not (unequal or thirds.rms < self.tiny) or learned(history):
            return None
        stuck = stalled(history)
        return Sign(
            severity="warning" if stuck else "info",
            headline=f"the first layers get a gradient of {thirds.norm:.1e}, "
            f"relative to their weights {thirds.early / thirds.late:.1e} of what the last ones get",
            why="Layers that get no gradient stay random, and all that follows learns from noise.",
            evidence={"first layers": thirds.early, "last layers": thirds.late, "gradient norm of the first": thirds.norm},
            remedies=_remedies(history),
            conclusive=unequal and below[0] * below[1] < FAR_BELOW and stuck,
        )


def _at_chance(history: History) -> bool:
    """Whether the loss is that of a guess, and none the better for the last 20 steps; not before the end of the warm-up."""
    started = history.started
    if started is None or history.step < started.warmup_steps + 20:
        return False
    losses = last_losses(history, 20)
    if len(losses) < 20 or not np.isfinite(losses).all() or not losses.mean() > started.chance_loss - 0.02 * learnable(history):
        return False
    old, new = mean(losses[:10]), mean(losses[10:])
    return not significantly_less(new, old._replace(value=min(old.value, started.chance_loss)), 0.0)


def _thirds(history: History, norm: float, tiny: float) -> Thirds | None:
    """None where there are fewer than three layers, fewer than SAMPLES measured steps, or no gradient below either limit."""
    started = history.started
    layers = started.layers if started else ()
    if started is None or len(layers) < 3:
        return None
    tail = history.layers[rows_until(history.layers, history.step - SAMPLES * gap(history)) :]
    rows = tail[~np.isnan(tail["weight_norm"])][-SAMPLES * len(layers) :]
    if len(rows) < SAMPLES * len(layers):
        return None
    third = max(1, len(layers) // 3)
    sizes = np.sqrt([layer.params for layer in layers[:third]])
    grads = rows["grad_norm"].reshape(SAMPLES, -1).astype(np.float64)
    if not grads[:, :third].min() < max(norm, tiny * sizes.max()) or not np.isfinite(grads).all():
        return None
    grads = np.median(grads, axis=0)
    relative = grads / np.maximum(np.median(rows["weight_norm"].reshape(SAMPLES, -1), axis=0), 1e-30)
    return Thirds(
        early=float(np.median(relative[:third])),
        late=max(float(np.median(relative[-third:])), 1e-300),
        norm=float(np.median(grads[:third])),
        rms=float(np.median(grads[:third] / sizes)),
    )


def _remedies(history: History) -> tuple[Remedy, ...]:
    """Another activation where it is one with flat ends; where it is not, fewer layers, started at the right size."""
    relu = choose(history, "use ReLUs, started as He et al. do", activation="relu", init="he_normal")
    tanh = choose(history, "use tanh, started as Glorot and Bengio do", activation="tanh", init="glorot_uniform")
    fewer = fewer_layers(history)
    if setting(history, "model.activation") != "relu":
        short = (Remedy(label="take fewer layers", edits=fewer, since="start"),) if fewer else ()
        return relu + tanh + normed(history) + short
    edits = (relu[0].edits if relu else ()) + fewer
    both = (Remedy(label="take fewer layers, started as He et al. do", edits=edits, since="start"),) if edits else ()
    return both + normed(history) + tanh
