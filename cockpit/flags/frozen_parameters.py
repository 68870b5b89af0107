"""Layers that should learn and do not move."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cockpit.cards import card, knob
from cockpit.diagnosis import Flag, Moment, Severity, Sign
from cockpit.flags._shared import Floats, learned
from cockpit.runs.events import Remedy, Started
from cockpit.runs.history import History
from cockpit.runs.tables import Rows, places_of

UNDERFLOW = 1e-6
"""Where the smallest gradient is below this share of the largest, those of 0 have vanished: that is another illness."""
ROUNDING = 1e-6
"""A change that is a smaller share of the weights may be lost in rounding, or come of it."""
OPTIMIZER = Remedy(label="hand every weight to the optimizer, or set requires_grad to False where it is to stay", since="start")
DETACHED = Remedy(label="look for detach(), no_grad() or .data between these layers and the loss", since="start")
RATE = Remedy(label="check the learning rate of their parameter group", since="start")


@card(
    "frozen_parameters",
    when="Always: a network can reach a fair accuracy on the features of random weights, and nothing else shows it.",
    beware="Weights frozen on purpose ask for no gradient and are only counted; a layer that nothing uses is a note.",
    source="Amazon SageMaker Debugger, rule UnchangedTensor",
)
class FrozenParameters(Flag):
    """Weights that ask for a gradient are not in the optimizer, get no gradient, or do not change.

    Judged over the first steps and the last measured ones together, so that a layer that is frozen later, or whose units
    died, is not meant.
    """

    moment: ClassVar[Moment] = "rows"
    needed: ClassVar[int] = 1
    of_last: ClassVar[int] = 1
    quiet: ClassVar[int] = 6
    causes: ClassVar[tuple[str, ...]] = (
        "non_finite",
        "symmetric_init",
        "output_loss_mismatch",
        "dead_relu",
        "saturated_activation",
        "vanishing_gradient",
    )

    steps: int = knob(20, low=5, high=1000, help="measured steps in which nothing may have moved")

    def look(self, history: History) -> Sign | None:
        """Critical where no layer moves."""
        started = history.started
        if started is None or history.step < started.warmup_steps + self.steps:
            return None
        table = self._measured(history)
        if table is None:
            return _on_purpose(started)
        grads, moves, due, norms = table
        # The steps of one optimizer are measured; what another one moves shows in the norms.
        elsewhere = np.ptp(norms, axis=0) > ROUNDING * norms.max(axis=0)
        silent, still = (grads == 0).all(axis=0) & ~elsewhere, (moves == 0).all(axis=0) & ~elsewhere
        outside = still & np.array([not layer.trained for layer in started.layers])
        stopped = still & ~silent & (np.median(due, axis=0) > ROUNDING)
        # A network that learns may hold layers for nothing, but not its first ones: then it learned on random features.
        spared = learned(history) and (silent.all() or not silent[0])
        accepted = silent & ~outside if spared or _explained(history, grads) else np.zeros_like(silent)
        for sick, what, why, remedy in (
            (outside, "not in the optimizer", "What the optimizer does not hold stays as it was drawn.", OPTIMIZER),
            (
                silent & ~accepted,
                "without a gradient",
                "The loss does not reach them: nothing teaches them.",
                DETACHED,
            ),
            (stopped, "not changed by any step", "Their gradient is there, and no step follows it.", RATE),
        ):
            if sick.any():
                aside = remedy is DETACHED and not sick[0] and not _answers(history, sick)
                return _sign(started, sick, f"{what} since the start", why, remedy, aside=aside)
        return _on_purpose(started)

    def _measured(self, history: History) -> tuple[Floats, Floats, Floats, Floats] | None:
        """Gradient norms, update ratios, those that plain SGD would make, and weight norms, each (samples, layers).

        Of the first steps and of the last; None where few are measured.
        """
        count = len(history.started.layers) if history.started else 0
        if not count or not len(history.steps):
            return None
        # Evaluations add rows of their own, without these numbers.
        length = 2 * count * self.steps
        first, last = (_by_step(rows, count) for rows in (history.layers[:length], history.layers[-length:]))
        if first is None or last is None or min(len(first), len(last)) < self.steps // 2:
            return None
        both = np.concatenate([first[: self.steps], last[-self.steps :]])
        at = places_of(history.steps, both["step"][:, 0])
        rates = history.steps["lr"][at].astype(np.float64)[:, None]
        grads, moves, norms = (both[name].astype(np.float64) for name in ("grad_norm", "update_ratio", "weight_norm"))
        on = rates[:, 0] > 0
        due = rates * grads / np.maximum(norms, 1e-12)
        return (grads[on], moves[on], due[on], norms[on]) if np.count_nonzero(on) >= 5 else None


def _by_step(rows: Rows, count: int) -> Rows | None:
    """The measured steps as (samples, layers); None where layers are missing."""
    known = rows[~np.isnan(rows["update_ratio"]) & ~np.isnan(rows["grad_norm"])]
    known = known[np.argmax(known["layer"] == 0) :] if len(known) else known
    whole: Rows = known[: len(known) // count * count].reshape(-1, count)
    return whole if (whole["layer"] == np.arange(count)).all() else None


def _explained(history: History, grads: Floats) -> bool:
    """Whether gradients of 0 come of units that never worked, or have shrunk to nothing on their way."""
    rows = history.layers[: len(history.started.layers) if history.started else 0]
    unborn = (rows["step"] == 0) & ((rows["dead"] > 0.99) | (rows["saturated"] > 0.99))
    usual = np.median(grads, axis=0)
    alive = usual[usual > 0]
    return bool(unborn.any() or (len(alive) and alive.min() < UNDERFLOW * alive.max()))


def _answers(history: History, sick: NDArray[np.bool_]) -> bool:
    """Whether these layers are all that are as wide as the outputs: then one of them gives the answer."""
    outputs = history.measured.outputs if history.measured else None
    layers = history.started.layers if history.started else ()
    wide = np.array([outputs is not None and layer.shape[:1] == (outputs.width,) for layer in layers])
    return bool(wide.any() and sick[wide].all())


def _sign(started: Started, sick: NDArray[np.bool_], what: str, why: str, remedy: Remedy, *, aside: bool) -> Sign:
    """All layers: critical. The first or the answering one: a warning. Others aside may be there for nothing: a note."""
    layers = started.layers
    names = [layer.name for layer, one in zip(layers, sick, strict=True) if one]
    severity: Severity = "critical" if sick.all() else "info" if aside else "warning"
    share = sum(layer.params for layer, one in zip(layers, sick, strict=True) if one) / max(
        sum(one.params for one in layers), 1
    )
    which = "no layer moves: all are " if sick.all() else f"{names[0]} is " if len(names) == 1 else f"{len(names)} layers are "
    return Sign(
        severity=severity,
        headline=f"{which}{what} ({share:.0%} of the weights)",
        why=why,
        evidence={"first": names[0], "layers": float(len(names)), "share of the weights": share},
        remedies=(remedy,),
        conclusive=not aside,
    )


def _on_purpose(started: Started) -> Sign | None:
    """Weights that ask for no gradient; a recipe that freezes some says so itself."""
    if not started.frozen or started.plan:
        return None
    why = "That is right if it was meant; requires_grad decides it."
    headline = f"{len(started.frozen)} weights ask for no gradient, {started.frozen[0]} first"
    return Sign("info", headline, why, {"first": started.frozen[0], "weights": float(len(started.frozen))})
