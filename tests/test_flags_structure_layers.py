"""Frozen layers, layers that start alike, old gradients: on made-up tables."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flags_canned import history

from cockpit.catalog import flags
from cockpit.judge import replay
from cockpit.runs.events import Cleared, Flagged
from cockpit.runs.facts import Outputs
from cockpit.runs.history import History
from cockpit.runs.tables import LAYERS, Rows, blank

LAYERS_OF = 4


def rises(seen: History, name: str, **knobs: Any) -> list[Flagged]:
    return [finding for finding in replay(seen, [flags()[name].cls(**knobs)]) if isinstance(finding, Flagged)]


def worst(seen: History, name: str, **knobs: Any) -> str:
    every = rises(seen, name, **knobs)
    return every[-1].severity if every else ""


def looked_at(step: int, **columns: list[float]) -> Rows:
    """What an evaluation, or the look before the first step, says of each layer."""
    rows = blank(LAYERS_OF, LAYERS)
    rows["step"], rows["layer"] = step, np.arange(LAYERS_OF)
    for name, values in columns.items():
        rows[name] = values
    return rows


def measured_at(step: int, grads: list[float], moves: list[float]) -> Rows:
    rows = looked_at(step, grad_norm=grads, update_ratio=moves)
    rows["weight_norm"], rows["weight_std"] = 10.0, 0.1
    return rows


def run(
    alike: Mapping[int, list[float]] | None = None,
    grads: Mapping[int, list[float]] | None = None,
    moves: Mapping[int, list[float]] | None = None,
    dead: list[float] | None = None,
    **said: Any,
) -> History:
    """Tables from what holds from a step on: alike at looks, gradients and moves at measured steps."""

    def at(step: int, values: Mapping[int, list[float]] | None, plain: float) -> list[float]:
        known = [value for since, value in sorted((values or {}).items()) if since <= step]
        return known[-1] if known else [plain] * LAYERS_OF

    seen = history({"name": "structure", **said})
    plain_alike = at(0, alike, 0.01)
    tables = [looked_at(0, alike=plain_alike, **({"dead": dead} if dead else {}))]
    steps = seen.steps[~np.isnan(seen.steps["grad_norm"])]["step"]
    evaluated = {one.step for one in seen.evaluations}
    for step in sorted({*steps.tolist(), *evaluated}):
        if step in steps:
            tables.append(measured_at(step, at(step, grads, 1.0), at(step, moves, 1e-3)))
        if step in evaluated:
            tables.append(looked_at(step, alike=at(step, alike, 0.01)))
    seen.layers = np.concatenate(tables)
    return seen


def outside(seen: History, *places: int) -> History:
    assert seen.started
    layers = tuple(replace(layer, trained=n not in places) for n, layer in enumerate(seen.started.layers))
    seen.started = replace(seen.started, layers=layers)
    return seen


LEARNS: dict[str, Any] = {"loss": [[1, 2.3], [400, 0.1]], "evaluations": {"train_accuracy": 0.99}}


@pytest.mark.parametrize(
    ("alike", "expected", "step"),
    [
        ({0: [0.1, 0.0, 0.2, 0.1]}, "", 0),
        ({0: [1.0, 1.0, 1.0, 1.0]}, "warning", 0),
        ({0: [1.0, 1.0, 1.0, 0.1]}, "warning", 0),
        ({0: [0.999, 0.999, 0.999, 0.999]}, "", 0),  # alike, and yet not one number
        ({0: [0.1, 0.1, 0.1, 1.0], 20: [0.1, 0.1, 0.1, 0.3]}, "info", 0),  # a head of zeros
        ({0: [0.1, 1.0, 0.1, 1.0], 20: [0.1, 0.998, 0.1, 0.3]}, "info", 0),  # a branch of zeros
        ({0: [0.1, 1.0, 0.1, 0.1], 20: [0.1, 0.9985, 0.1, 0.1]}, "info", 0),
        ({0: [0.1, 1.0, 0.1, 0.1], 20: [0.1, 0.9995, 0.1, 0.1]}, "warning", 40),
        ({0: [0.1, 0.1, 0.1, 0.1], 20: [0.1, 1.0, 0.1, 0.1]}, "", 0),  # collapsed later: another illness
    ],
)
def test_symmetric_init(alike: dict[int, list[float]], expected: str, step: int) -> None:
    every = rises(run(alike), "symmetric_init")
    assert (every[-1].severity if every else "") == expected
    assert not every or every[-1].step == step


def test_a_head_of_zeros_clears_once_its_units_differ() -> None:
    seen = run({0: [0.1, 0.1, 0.1, 1.0], 20: [0.1, 0.1, 0.1, 0.3]})
    assert [type(finding) for finding in replay(seen, [flags()["symmetric_init"].cls()])] == [Flagged, Cleared]


def test_one_layer_may_start_at_zero() -> None:
    seen = run({0: [1.0] * 4, 20: [0.2] * 4})
    assert seen.started
    seen.started = replace(seen.started, layers=seen.started.layers[:1])
    seen.layers = seen.layers[seen.layers["layer"] == 0]
    assert worst(seen, "symmetric_init") == "info"


def test_units_of_one_input_have_no_direction() -> None:
    seen = run({0: [1.0, 1.0, 1.0, 0.1]})
    assert seen.started
    seen.started = replace(seen.started, layers=tuple(replace(one, shape=(10, 1)) for one in seen.started.layers))
    assert worst(seen, "symmetric_init") == ""


@pytest.mark.parametrize(
    ("activation", "init"), [("relu", "he_normal"), ("tanh", "glorot_uniform"), ("sigmoid", "glorot_uniform")]
)
def test_the_start_offered_suits_the_activation(activation: str, init: str) -> None:
    (seen,) = rises(run({0: [1.0] * 4}, recipe={"model": {"activation": activation, "init": "zeros"}}), "symmetric_init")
    assert [remedy.edits for remedy in seen.remedies] == [(("model.init", init),)]


def test_a_layer_outside_the_optimizer_is_seen_at_once() -> None:
    moves = {0: [0.0, 0.0, 0.0, 1e-3]}
    (seen,) = rises(outside(run(moves=moves, **LEARNS), 0, 1, 2), "frozen_parameters")
    assert (seen.severity, seen.step) == ("warning", 20) and "3 layers are not in the optimizer" in seen.headline
    assert worst(outside(run(moves={0: [0.0] * 4}), 0, 1, 2, 3), "frozen_parameters") == "critical"


def test_a_layer_in_the_hands_of_another_optimizer_is_no_matter() -> None:
    assert worst(outside(run(), 0, 1, 2), "frozen_parameters") == ""


@pytest.mark.parametrize(
    ("grads", "moves", "expected"),
    [
        ({}, {}, ""),
        ({0: [0.0, 0.0, 1.0, 1.0]}, {0: [0.0, 0.0, 1e-3, 1e-3]}, "warning"),  # detached
        ({0: [0.0, 0.0, 1.0, 1.0]}, {}, "warning"),  # weight decay moves it
        ({0: [1.0, 1.0, 0.0, 1.0]}, {0: [1e-3, 1e-3, 0.0, 1e-3]}, "info"),  # used by nothing
        ({0: [0.0] * 4}, {0: [0.0] * 4}, "critical"),
        ({}, {0: [0.0] * 4}, "critical"),
        ({}, {0: [1e-3, 0.0, 1e-3, 1e-3]}, "warning"),  # a group of rate 0
        ({0: [0.0, 1.0, 1.0, 1.0], 2: [1.0] * 4}, {0: [0.0, 1e-3, 1e-3, 1e-3], 2: [1e-3] * 4}, ""),  # zero gamma
        ({0: [1.0] * 4, 10: [0.0] * 4}, {0: [1e-3] * 4, 10: [0.0] * 4}, ""),  # died: another illness
        ({0: [1.0] * 4, 200: [0.0, 0.0, 1.0, 1.0]}, {0: [1e-3] * 4, 200: [0.0, 0.0, 1e-3, 1e-3]}, ""),  # frozen on the way
        ({}, {0: [0.0] * 4, 9: [1e-3] * 4}, ""),  # a loss scaler finds its scale
        ({0: [0.0, 1e-9, 1e-3, 1.0]}, {0: [0.0, 1e-9, 1e-3, 1e-3]}, ""),  # vanished on its way
        ({0: [1e-4, 1e-4, 1e-3, 1.0]}, {0: [0.0, 0.0, 1e-5, 1e-3]}, ""),  # steps lost in rounding
        ({0: [1e-3, 1e-3, 1e-3, 1.0]}, {0: [0.0, 0.0, 1e-5, 1e-3]}, "warning"),
        ({0: [0.0, 1e-5, 1e-3, 1.0]}, {0: [0.0, 1e-9, 1e-3, 1e-3]}, "warning"),
    ],
)
def test_frozen_parameters(grads: dict[int, list[float]], moves: dict[int, list[float]], expected: str) -> None:
    assert worst(run(grads=grads, moves=moves, loss=2.3), "frozen_parameters") == expected


def answering_with(seen: History, width: int) -> History:
    assert seen.started and seen.measured
    layers = tuple(replace(layer, shape=(one, 10)) for layer, one in zip(seen.started.layers, (8, 8, 10, 3), strict=True))
    seen.started = replace(seen.started, layers=layers)
    outputs = Outputs(
        samples=512, width=width, low=-1.0, high=1.0, row_sum_error=1.0, column_sum_error=1.0, spread=0.1, entropy=1.0
    )
    seen.measured = replace(seen.measured, outputs=outputs)
    return seen


def test_the_layer_that_answers_is_not_there_for_nothing() -> None:
    silent = {0: [1.0, 1.0, 0.0, 1.0]}
    assert worst(answering_with(run(grads=silent, moves=silent), 10), "frozen_parameters") == "warning"
    assert worst(answering_with(run(grads=silent, moves=silent), 3), "frozen_parameters") == "info"
    assert worst(answering_with(run(grads=silent, moves=silent), 8), "frozen_parameters") == "info"


def test_a_network_that_learns_on_random_features_is_told_to_the_end() -> None:
    detached, aside = {0: [0.0, 0.0, 1.0, 1.0]}, {0: [1.0, 0.0, 1.0, 1.0]}
    for grads, kept in ((detached, True), (aside, False)):
        every = replay(run(grads=grads, moves=grads, **LEARNS), [flags()["frozen_parameters"].cls()])
        assert isinstance(every[-1], Flagged if kept else Cleared)


def test_layers_do_not_move_while_the_rate_is_zero() -> None:
    assert worst(run(moves={0: [0.0] * 4}, lr=0.0), "frozen_parameters") == ""


def test_nothing_is_judged_inside_the_warm_up() -> None:
    still = {0: [0.0, 1e-3, 1e-3, 1e-3]}
    (seen,) = rises(run(moves=still, run={"warmup_steps": 100}), "frozen_parameters")
    assert seen.step == 120


def test_units_that_never_worked_explain_a_gradient_of_zero() -> None:
    seen = run(grads={0: [0.0] * 4}, moves={0: [0.0] * 4}, dead=[0.2, 1.0, 0.2, np.nan])
    assert worst(seen, "frozen_parameters") == ""


def test_a_loss_of_zero_leaves_no_gradient() -> None:
    seen = run(grads={0: [0.0] * 4}, moves={0: [0.0] * 4}, **(LEARNS | {"loss": 0.0}))
    assert worst(seen, "frozen_parameters") == ""


def test_weights_frozen_on_purpose_are_counted() -> None:
    seen = run()
    assert seen.started
    seen.started = replace(seen.started, frozen=("conv1.weight", "conv2.weight"))
    (found,) = rises(seen, "frozen_parameters")
    assert found.severity == "info" and found.headline.startswith("2 weights ask for no gradient, conv1.weight first")
    seen.started = replace(seen.started, plan={"network": ["freeze"]})  # a recipe says so itself
    assert not rises(seen, "frozen_parameters")


def test_a_table_that_lacks_layers_is_not_judged() -> None:
    seen = run(moves={0: [0.0] * 4})
    seen.layers = seen.layers[seen.layers["layer"] != 2]
    assert worst(seen, "frozen_parameters") == ""
    seen.layers = seen.layers[:0]
    assert worst(seen, "frozen_parameters") == ""


def began_with(*stale: float, every: int = 10, accumulate: int = 1) -> History:
    seen = run(run={"probe_every": every})
    assert seen.started
    seen.started = replace(seen.started, accumulate=accumulate)
    seen.steps["stale"] = np.nan
    known = np.flatnonzero(~np.isnan(seen.steps["grad_norm"]))[: len(stale)]
    seen.steps["stale"][known] = stale
    return seen


@pytest.mark.parametrize(
    ("stale", "expected"),
    [
        ((), ""),
        ((0, 0, 0, 0, 0), ""),
        ((0, 1, 1, 1, 1), "warning"),
        ((0, 1, 0, 1, 1), "warning"),
        ((0, 1, 0, 1, 0), ""),
        ((1, 1), ""),
        ((1, 1, 1), "warning"),
    ],
)
def test_stale_gradients(stale: tuple[float, ...], expected: str) -> None:
    assert worst(began_with(*stale), "stale_gradients") == expected
    assert worst(began_with(*stale, accumulate=4), "stale_gradients") == expected  # the first pass of an update is measured


def test_a_loop_that_forgets_is_told_at_the_first_look() -> None:
    (seen,) = rises(began_with(0, *[1] * 50), "stale_gradients")
    assert seen.step == 20 and "zero_grad" in seen.remedies[0].label


@pytest.mark.parametrize(
    ("usual", "gap", "expected"),
    [(0.01, 30.0, ""), (0.01, 31.0, "info"), (4.0, 40.0, ""), (4.0, 41.0, "info"), (0.01, 0.5, "")],
)
def test_a_loop_that_stood_still(usual: float, gap: float, expected: str) -> None:
    seen = run()
    gaps = np.full(len(seen.steps), usual)
    gaps[222] = gap
    seen.steps["time"] = np.cumsum(gaps)
    every = rises(seen, "stale_gradients")
    assert (every[-1].severity if every else "") == expected
    assert not every or (f"{gap:.0f} s before step 223" in every[-1].headline and every[-1].step == 240)
