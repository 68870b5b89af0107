"""Every flag on histories with holes: whatever is missing, it says nothing rather than fail."""

import dataclasses
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flags_canned import cases, history

from cockpit.catalog import flags
from cockpit.diagnosis import Flag
from cockpit.judge import Judge, replay
from cockpit.runs.events import Evaluated
from cockpit.runs.facts import Inputs, Outputs
from cockpit.runs.history import History
from cockpit.runs.tables import LAYERS, STEPS, blank

FLAGS = [card.cls() for card in flags().values()]
SICK = [case for case in cases() if case["expect"]][::9]
UNKNOWN = {"accuracy", "train_accuracy", "train_loss", "val_loss", "val_accuracy", "largest_class_share"}


def without(**fields: Any) -> Callable[[History], None]:
    def spoil(seen: History) -> None:
        for name, value in fields.items():
            setattr(seen, name, value)

    return spoil


def blind_table(name: str) -> Callable[[History], None]:
    def spoil(seen: History) -> None:
        rows = getattr(seen, name).copy()
        for column in rows.dtype.names:
            if column not in ("step", "layer"):
                rows[column] = np.nan
        setattr(seen, name, rows)

    return spoil


def blind_scores(seen: History) -> None:
    known = {field.name for field in dataclasses.fields(Evaluated)}
    seen.evaluations = [dataclasses.replace(each, **dict.fromkeys(UNKNOWN & known, math.nan)) for each in seen.evaluations]


def blind_start(seen: History) -> None:
    assert seen.started is not None
    data = dataclasses.replace(seen.started.data, classes=(), train=0, val=0, train_counts=(), val_counts=(), mean=(), std=())
    seen.started = dataclasses.replace(
        seen.started,
        data=data,
        chance_loss=math.nan,
        chance_accuracy=math.nan,
        total_steps=0,
        epochs=0,
        criterion="",
        layers=(),
    )


def odd_numbers(seen: History) -> None:
    nothing = Inputs(samples=0, low=math.nan, high=math.nan, mean=math.nan, std=math.nan, finite=False)
    mute = Outputs(
        samples=1, width=1, low=math.nan, high=math.inf, row_sum_error=math.nan, column_sum_error=math.nan, spread=math.nan,
        entropy=math.nan,
    )  # fmt: skip
    assert seen.measured is not None
    seen.measured = dataclasses.replace(seen.measured, loss=math.nan, inputs=nothing, val_inputs=nothing, outputs=mute)
    seen.evaluations = [dataclasses.replace(each, outputs=mute, recalls=(math.nan,)) for each in seen.evaluations]


def infinite(seen: History) -> None:
    rows = seen.steps.copy()
    for name in ("loss", "grad_norm", "update_ratio", "lr"):
        rows[name][-30:] = np.inf
    seen.steps = rows


HOLES: dict[str, Callable[[History], None]] = {
    "no start": without(started=None),
    "no measurement": without(measured=None),
    "no steps": without(steps=blank(0, STEPS), layers=blank(0, LAYERS)),
    "layers without steps": without(steps=blank(0, STEPS)),
    "no layers": without(layers=blank(0, LAYERS)),
    "no evaluations": without(evaluations=[]),
    "no recipe": without(recipe={}),
    "blind steps": blind_table("steps"),
    "blind layers": blind_table("layers"),
    "blind scores": blind_scores,
    "a loop that tells nothing": blind_start,
    "odd numbers": odd_numbers,
    "infinite": infinite,
    "nothing at all": without(started=None, measured=None, steps=blank(0, STEPS), layers=blank(0, LAYERS), evaluations=[]),
}


@pytest.mark.parametrize("hole", HOLES)
@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.card.name)
def test_what_is_missing_breaks_no_flag(flag: Flag, hole: str) -> None:
    for case in SICK:
        seen = history(case)
        HOLES[hole](seen)
        with warnings.catch_warnings(action="error"):
            flag.look(seen)
            replay(seen, [flag])
            for length in (1, 3, 25):
                few = dataclasses.replace(seen, steps=seen.steps[:length], layers=seen.layers[: 4 * length])
                flag.look(few)


class Faulty(type(FLAGS[0])):  # type: ignore[misc]
    """Fails at its first look."""

    def look(self, history: History) -> None:
        raise ZeroDivisionError("by nought")


def test_a_flag_that_fails_is_told_of_once_and_ends_nothing() -> None:
    whole = history(SICK[0])
    told: list[str] = []
    judge = Judge([Faulty(), *FLAGS[1:]], whole, lambda name, error: told.append(f"{name}: {error}"))
    judge.start()
    judge.rows()
    judge.final()
    assert told == [f"{FLAGS[0].card.name}: by nought"]
    with pytest.raises(ZeroDivisionError):
        replay(whole, [Faulty()])
