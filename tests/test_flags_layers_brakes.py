"""Flags on units, gradients, brakes and what is never learned, each beside its near misses."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flags_canned import series
from flags_runs import FALLING, FLAT, GUESS, constant, remedies, run, started, worst

from cockpit.runs.events import Measured
from cockpit.runs.facts import Inputs
from cockpit.runs.history import History
from cockpit.runs.tables import LAYERS, blank

# saturated_activation


def stuck(share: Any, first: float | None = None, base: dict[str, Any] = FLAT) -> History:
    """The second layer stuck at evaluations, and before the first step."""
    whole = run(base, GUESS)
    at = [0] * (first is not None) + [seen.step for seen in whole.evaluations]
    values = [first] * (first is not None) + list(series(share, np.arange(1, len(whole.evaluations) + 1)))
    rows = blank(len(at), LAYERS)
    rows["step"], rows["layer"], rows["saturated"] = at, 1, values
    whole.layers = np.concatenate([whole.layers, rows])
    whole.layers = whole.layers[np.argsort(whole.layers["step"], kind="stable")]
    return whole


@pytest.mark.parametrize(
    ("whole", "found"),
    [
        (stuck(0.5), ("", 0)),
        (stuck(0.51), ("warning", 80)),
        (stuck(0.9, base=FALLING), ("info", 80)),
        (stuck(0.9, 0.9), ("warning", 60)),  # since before the first step: one look
        (stuck(0.9, 0.4), ("warning", 80)),
        (stuck([[1, 0.1], [3, 0.1], [4, 0.9], [5, 0.9], [6, 0.1]]), ("warning", 100)),
        (stuck([[1, 0.9], [3, 0.9], [4, 0.1]]), ("", 0)),
    ],
)
def test_saturated_activation(whole: History, found: tuple[str, int]) -> None:
    assert worst("saturated_activation", whole) == found


def test_confident_units_of_a_network_that_knows_are_no_illness() -> None:
    whole = stuck(0.9, 0.9)
    whole.evaluations = [replace(seen, train_accuracy=0.95) for seen in whole.evaluations]
    assert worst("saturated_activation", whole) == ("", 0)


def test_stuck_units_are_told_to_use_smaller_inputs_and_weights() -> None:
    whole = stuck(0.9, 0.9)
    pixels = Inputs(samples=512, low=0.0, high=255.0, mean=78.0, std=96.0)
    whole.measured = replace(whole.measured or Measured(samples=512, loss=2.3, expected_loss=2.3, accuracy=0.1), inputs=pixels)
    whole.recipe = {"data": {"standardise": "none"}, "model": {"init": {"name": "normal_001"}, "norm": "none"}}
    assert remedies("saturated_activation", whole)[0] == (("data.standardise", "train"), ("model.init", "glorot_uniform"))
    whole.recipe = {"data": {"standardise": "train"}, "model": {"init": "glorot_uniform", "norm": "batch"}}
    assert remedies("saturated_activation", whole)[0] == (("model.activation", "relu"), ("model.init", "he_normal"))


# dead_relu


def test_units_that_were_dead_before_the_first_step_were_not_killed_by_the_rate() -> None:
    whole = run(FLAT, GUESS, dead=[0.1, 1.0, 0.2])
    whole.recipe = {"model": {"name": "mlp", "widths": [5] * 9, "activation": "relu", "init": "he_uniform", "norm": "none"}}
    assert remedies("dead_relu", whole)[0] == (("optimizer.lr", "0.01"),)
    rows = blank(1, LAYERS)
    rows["layer"], rows["dead"] = 1, 1.0
    whole.layers = np.concatenate([rows, whole.layers])
    leaky = (("model.activation", "leaky_relu"), ("model.init", "he_normal"))
    assert remedies("dead_relu", whole)[0] == (*leaky, ("model.widths", "[5, 5, 5]"))
    assert worst("dead_relu", whole) == ("critical", 20)  # a whole layer: nobody need wait for the first 50 steps
    assert worst("dead_relu", started(whole, warmup_steps=20)) == ("critical", 40)
    whole.layers["dead"][0] = 0.99
    assert worst("dead_relu", started(whole, warmup_steps=0)) == ("critical", 60)


# vanishing_gradient


def fading(model: dict[str, Any]) -> History:
    whole = run(FLAT, GUESS, layer_grads=[1e-8, 1e-8, 1e-1, 1e-1])
    whole.recipe = {"model": model}
    return whole


def test_vanishing_gradients_are_told_what_the_network_has_not() -> None:
    sigmoid = {"name": "layers", "layers": "c6k5 mp fc120 fc84x9", "activation": "sigmoid", "init": {"name": "he_normal"}}
    assert remedies("vanishing_gradient", fading(sigmoid)) == [
        (("model.activation", "relu"),),
        (("model.activation", "tanh"), ("model.init", "glorot_uniform")),
        (("model.layers", "c6k5 bn mp fc120 bn" + " fc84 bn" * 9),),
        (("model.layers", "c6k5 mp fc120 fc84x3"),),
    ]
    relu = {"name": "layers", "layers": "c6k5 bn fc64x20", "activation": "relu", "init": {"name": "uniform"}}
    first, second = remedies("vanishing_gradient", fading(relu))
    assert first == (("model.init", "he_normal"), ("model.layers", "c6k5 bn fc64x3"))
    assert second == (("model.activation", "tanh"), ("model.init", "glorot_uniform"))


def test_where_chance_is_not_known_what_a_layer_does_is_a_note() -> None:
    unknown = {"chance_loss": float("nan")}
    assert worst("saturated_activation", started(stuck(0.9, 0.9), **unknown)) == ("info", 80)
    assert worst("dead_relu", started(run(FLAT, GUESS, dead=[0.1, 1.0, 0.2]), **unknown)) == ("info", 100)
    assert worst("vanishing_gradient", started(fading({}), **unknown)) == ("info", 80)
    assert worst("constant_prediction", started(constant(1.0), **unknown)) == ("info", 100)
    assert worst("over_regularised", started(decayed(0.5, left=0.1), **unknown)) == ("", 0)
    assert worst("underfitting", started(poor(0.4), **unknown)) == ("info", 400)


# underfitting


def poor(accuracy: Any, base: dict[str, Any] = FLAT, val: Any = None, **more: Any) -> History:
    return run(base, GUESS | {"train_accuracy": accuracy, "val_accuracy": accuracy if val is None else val}, **more)


@pytest.mark.parametrize(
    ("whole", "found"),
    [
        (poor(0.4), ("info", 160)),
        (poor(0.549), ("info", 160)),
        (poor(0.55), ("", 0)),
        (poor(0.4, val=0.3), ("", 0)),  # that is a gap between the splits
        (poor(0.4, val=0.35), ("info", 160)),
        (poor(0.4, FALLING), ("info", 400)),  # still learning when the run ends
        (poor(0.32, FALLING), ("info", 400)),
        (poor(0.33, FALLING), ("info", 400)),
        (poor(0.2, FALLING, lr=[[1, 0.1], [400, 0.049]]), ("info", 400)),  # a short run, but it went as planned
        (poor(0.2, FALLING, lr=[[1, 0.1], [400, 0.051]]), ("info", 400)),
        (poor([[1, 0.1], [20, 0.5]]), ("info", 400)),  # the loss is disturbed, the clean images get better
        (poor(0.4, lr=[[1, 0.1], [60, 0.1], [61, 0.04]]), ("info", 400)),  # resting because the rate came down
        (poor(0.2, FALLING, run={"total_steps": 800}), ("", 0)),
    ],
)
def test_underfitting(whole: History, found: tuple[str, int]) -> None:
    assert worst("underfitting", whole) == found


def test_underfitting_is_told_to_go_on_faster() -> None:
    whole = poor(0.2, FALLING)
    whole.recipe = {"optimizer": {"name": "sgd", "lr": 0.005}, "train": {"epochs": 2}, "tricks": {}}
    assert remedies("underfitting", whole)[0] == (("optimizer.lr", "0.05"), ("train.epochs", "6"))


# over_regularised


def decayed(lam: float, grad: float = 1.0, left: float = 1.0, optimizer: str = "sgd", base: dict[str, Any] = FLAT) -> History:
    """Weights of norm 10, or what is left of it after 20 steps."""
    whole = run(base, GUESS, layer_grads=[grad] * 4)
    whole.layers["weight_norm"][whole.layers["step"] > 20] *= left
    return started(whole, weight_decay=lam, optimizer=optimizer)


@pytest.mark.parametrize(
    ("whole", "found"),
    [
        (decayed(0.2), ("warning", 80)),
        (decayed(0.199), ("", 0)),
        (decayed(0.2, optimizer="adamw"), ("", 0)),
        (decayed(0.05, optimizer="adamw", left=0.49), ("warning", 80)),
        (decayed(0.01, left=0.49), ("warning", 80)),
        (decayed(0.01, left=0.51), ("", 0)),
        (decayed(0.5, left=0.45), ("warning", 60)),  # both: one look
        (decayed(0.0, left=0.1), ("", 0)),
        (decayed(0.0026, grad=1e-6), ("warning", 80)),
        (decayed(0.0025, grad=1e-6), ("", 0)),  # no more than a tenth of the weights over the run: the gradient is dead
        (decayed(0.2, base=FALLING), ("", 0)),
        (decayed(0.07, left=0.49, base=FALLING), ("warning", 60)),  # half of the weights in 99 steps, whatever the loss
        (decayed(0.069, left=0.49, base=FALLING), ("", 0)),
        (decayed(0.07, left=0.51, base=FALLING), ("", 0)),
        (decayed(5e-4, grad=1e-6, base={"name": "done", "loss": [[1, 2.3], [30, 0.001]]}), ("", 0)),
    ],
)
def test_weight_decay_that_outweighs_the_data(whole: History, found: tuple[str, int]) -> None:
    assert worst("over_regularised", whole) == found


def test_decay_remedies() -> None:
    assert remedies("over_regularised", decayed(0.3))[0] == (("optimizer.weight_decay", "0.0005"),)
    whole = decayed(0.0, left=0.3)
    whole.recipe = {"tricks": {"decay_by_hand": {"lam": 0.02, "form": "loss"}}}
    assert remedies("over_regularised", whole)[0] == (("tricks.decay_by_hand.lam", "0.0002"),)


def dropped(line: str, said: dict[str, Any] | None = None, base: dict[str, Any] = FLAT) -> History:
    whole = run(base, GUESS | (said or {}))
    whole.recipe = {"model": {"name": "layers", "layers": line}, "tricks": {}}
    return whole


@pytest.mark.parametrize(
    ("whole", "found"),
    [
        (dropped("c8k3same do0.8 mp fc84"), ("warning", 120)),
        (dropped("c8k3same do0.5 mp fc84"), ("", 0)),
        (dropped("c8k3same mp fc84"), ("", 0)),
        (dropped("do0.8 fc84", base=FALLING), ("", 0)),
        (dropped("do0.8 fc84", {"train_accuracy": 0.6, "val_accuracy": 0.6}), ("", 0)),
        (dropped("do0.8 fc84", {"train_accuracy": 0.4, "val_accuracy": 0.2}), ("", 0)),
        (dropped("fc84", {"train_accuracy": 0.4, "val_accuracy": 0.4, "train_mode_accuracy": 0.2}), ("warning", 160)),
        (dropped("fc84", {"train_accuracy": 0.4, "val_accuracy": 0.4, "train_mode_accuracy": 0.26}), ("", 0)),
    ],
)
def test_dropout_that_leaves_noise(whole: History, found: tuple[str, int]) -> None:
    assert worst("over_regularised", whole) == found


def test_dropout_remedies_take_the_words_out() -> None:
    assert remedies("over_regularised", dropped("c8k3same do0.8 mp fc84 do0.2"))[0] == (("model.layers", "c8k3same mp fc84"),)
