"""What the plots show: series over the steps of the planned run, and marks for edits and flags."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cockpit.runs.events import Evaluated, Flagged
from cockpit.runs.history import History
from cockpit.ui.model.words import clean
from cockpit.ui.plot.series import Mark, Series

RATES = {"lr": "lr", "grad norm": "grad_norm", "update ratio": "update_ratio", "speed": "speed"}
"""The tabs of the small plot -> columns of the table of steps."""

MIXED = 50
"""So many batches in a row without an accuracy: a trick mixes them."""


@dataclass(frozen=True, eq=False)
class Curves:
    """The content of the three plots."""

    loss: tuple[Series, ...] = ()
    accuracy: tuple[Series, ...] = ()
    rates: tuple[tuple[str, Series], ...] = ()
    marks: tuple[Mark, ...] = ()
    x_max: float = 1.0
    """The last step that is planned; 0 where a loop of the user's own does not say: then the axis grows."""
    epoch_steps: float = 1.0
    """Steps of an epoch: the axis counts epochs."""


def curves(history: History) -> Curves:
    """The curves of a run so far, views of its tables."""
    if history.started is None:
        return Curves()
    steps, planned = history.steps, history.started.total_steps
    return Curves(
        loss=(
            Series("train", steps["step"], steps["loss"], color="primary"),
            *_evaluated(history, _whose(history), lambda seen: seen.val_loss, "warning", "dotted"),
            *_best(history, lambda seen: seen.val_loss),
        ),
        accuracy=(
            *_train_accuracy(history),
            *_evaluated(history, _whose(history), lambda seen: seen.val_accuracy, "warning", "dotted"),
            *_plain(history),
            *_best(history, lambda seen: seen.val_accuracy),
        ),
        rates=tuple((tab, Series(tab, steps["step"], steps[column], sparse=True)) for tab, column in RATES.items()),
        marks=marks(history),
        x_max=float(planned),
        epoch_steps=planned / max(1, history.started.epochs) if planned else float(max(1, history.started.steps_per_epoch)),
    )


def _train_accuracy(history: History) -> tuple[Series, ...]:
    """Of the batches; where a trick mixes images that means nothing, and the clean probe stands in."""
    steps = history.steps
    if len(steps) and np.isnan(steps["accuracy"][-MIXED:]).all():
        return _evaluated(history, "clean", lambda seen: seen.train_accuracy, "primary", "dashed")
    return (Series("train", steps["step"], steps["accuracy"], color="primary", sparse=True),)


def _whose(history: History) -> str:
    """`val`, and whose weights were scored where they are not the ones just trained."""
    weights = history.evaluations[-1].weights if history.evaluations else "raw"
    return "val" if weights == "raw" else f"val, {clean(weights)}"


def _plain(history: History) -> tuple[Series, ...]:
    """Validation accuracy of the weights as trained, where an average or test-time views are what counts."""
    if not history.evaluations or history.evaluations[-1].plain_accuracy is None:
        return ()
    return _evaluated(history, "plain", lambda seen: seen.plain_accuracy or math.nan, "secondary", "dashed")


def _evaluated(
    history: History, label: str, score: Callable[[Evaluated], float], color: str, shape: Literal["dashed", "dotted"]
) -> tuple[Series, ...]:
    if not history.evaluations:
        return ()
    x = np.array([seen.step for seen in history.evaluations])
    y = np.array([score(seen) for seen in history.evaluations])
    return (Series(label, x, y, color=color, shape=shape, sparse=True),)


def _best(history: History, score: Callable[[Evaluated], float]) -> tuple[Series, ...]:
    best = history.best
    if best is None:
        return ()
    return (Series("best", np.array([best.step]), np.array([score(best)]), "points", "success", "marker"),)


def marks(history: History) -> tuple[Mark, ...]:
    """Edits that took hold, remedies in place of the edits they made, and flags at warning or above, in order."""
    cured = {(done.step, path) for done in history.remedied for path, _ in done.edits}
    edits = [
        Mark(edit.step, f"{clean(edit.path)} = {clean(edit.new)}")
        for edit in history.edits
        if edit.live and (edit.step, edit.path) not in cured
    ]
    edits += [Mark(done.step, f"remedy: {clean(done.label)}") for done in history.remedied if done.how != "fork"]
    flags = [
        Mark(found.step, clean(found.id), "error" if found.severity == "critical" else "warning", "flag")
        for found in history.findings
        if isinstance(found, Flagged) and found.severity != "info"
    ]
    return tuple(sorted(edits + flags, key=lambda mark: mark.x))
