"""Canned runs with the columns that rules on evaluations and layers ask for."""

from dataclasses import replace
from typing import Any

import numpy as np
from flags_canned import history, series

from cockpit.catalog import flags
from cockpit.judge import replay
from cockpit.runs.events import Flagged
from cockpit.runs.history import History

FLAT = {"loss": 2.3026, "noise": 0.01, "name": "flat"}
FALLING = {"loss": [[1, 2.3], [400, 0.8]], "noise": 0.01, "name": "falling"}
GUESS = {"train_accuracy": 0.1, "val_accuracy": 0.1, "train_loss": 2.3, "val_loss": 2.3}


def run(base: dict[str, Any], said: dict[str, Any] | None = None, **more: Any) -> History:
    """A canned run; `said`: columns of its evaluations, those that flags_canned does not know as well."""
    said = said or {}
    plain = {key: value for key, value in said.items() if key in GUESS}
    whole = history(base | more | {"evaluations": plain})
    epochs = np.arange(1, len(whole.evaluations) + 1)
    for name in set(said) - set(plain):
        column = series(said[name], epochs) if not isinstance(said[name], bool) else [said[name]] * len(epochs)
        whole.evaluations = [
            replace(seen, **{name: type(said[name])(value) if isinstance(said[name], bool) else float(value)})
            for seen, value in zip(whole.evaluations, column, strict=True)
        ]
    return whole


def data(whole: History, **facts: Any) -> History:
    assert whole.started is not None
    whole.started = replace(whole.started, data=replace(whole.started.data, **facts))
    return whole


def started(whole: History, **facts: Any) -> History:
    assert whole.started is not None
    whole.started = replace(whole.started, **facts)
    return whole


def worst(name: str, whole: History, **knobs: Any) -> tuple[str, int]:
    """The highest severity that a flag rose to, and the step of it; ("", 0) where it was silent."""
    found = [each for each in replay(whole, [flags()[name].cls(**knobs)]) if isinstance(each, Flagged)]
    return (found[-1].severity, found[-1].step) if found else ("", 0)


def remedies(name: str, whole: History) -> list[tuple[tuple[str, str], ...]]:
    found = [each for each in replay(whole, [flags()[name].cls()]) if isinstance(each, Flagged)]
    return [remedy.edits for remedy in found[-1].remedies]


def constant(share: Any, base: dict[str, Any] = FLAT, **more: Any) -> History:
    return data(run(base, GUESS | {"largest_class_share": share} | more), val_counts=(100,) * 10)
