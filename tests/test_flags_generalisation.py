"""Flags on what evaluations say: each on a canned run that has what its rule asks for, and on the near misses."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flags_canned import history, series

from cockpit.catalog import flags
from cockpit.judge import replay
from cockpit.runs.events import Flagged, Measured
from cockpit.runs.facts import Inputs, Outputs
from cockpit.runs.history import History
from cockpit.runs.tables import LAYERS, blank

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


# labels_or_split_broken


def apart(train: Any, val: Any, **sizes: Any) -> History:
    return run(FALLING, {"train_accuracy": train, "val_accuracy": val}, run=sizes)


@pytest.mark.parametrize(
    ("train", "val", "severity", "step"),
    [
        (0.5, 0.1, "warning", 60),
        (0.5, 0.118, "warning", 60),  # two standard errors of a guess over 1,000 images
        (0.5, 0.121, "", 0),
        (0.16, 0.08, "", 0),  # not yet four errors above chance
        (0.2, 0.1, "warning", 60),
        (0.5, 0.045, "warning", 20),  # far below chance: proof
        (0.5, 0.055, "warning", 60),  # below, but not half of chance
        (0.1, 0.01, "", 0),
        (0.9, 0.6, "", 0),
        (0.6, 0.7, "info", 60),
        (0.70, 0.715, "", 0),
    ],
)
def test_labels_or_split(train: float, val: float, severity: str, step: int) -> None:
    assert worst("labels_or_split_broken", apart(train, val)) == (severity, step)


def test_labels_or_split_needs_images_and_knows_what_is_meant() -> None:
    assert worst("labels_or_split_broken", apart(0.9, 0.0, val_size=49)) == ("", 0)
    assert worst("labels_or_split_broken", apart(0.9, 0.0, val_size=50)) == ("warning", 60)
    assert worst("labels_or_split_broken", apart(0.9, 0.0, val_size=144)) == ("warning", 60)  # not one of 144: four errors
    assert worst("labels_or_split_broken", apart(0.9, 0.0, val_size=145)) == ("warning", 20)
    meant = apart(0.9, 0.1)
    meant.recipe = {"tricks": {"random_labels": {"fraction": 1.0}}}
    assert worst("labels_or_split_broken", meant) == ("info", 60)
    assert worst("labels_or_split_broken", started(apart(0.9, 0.1), traits=("no_labels",))) == ("", 0)
    assert worst("labels_or_split_broken", started(apart(0.9, 0.1), chance_accuracy=float("nan"))) == ("", 0)
    # A validation set of one class in the main: a guess earns 60 %.
    uneven = data(apart(0.9, 0.6), val_counts=(600, 400))
    assert worst("labels_or_split_broken", uneven) == ("warning", 60)
    assert worst("labels_or_split_broken", data(apart(0.9, 0.66), val_counts=(600, 400))) == ("", 0)


def test_twins_are_a_note() -> None:
    assert worst("labels_or_split_broken", data(apart(0.8, 0.8), duplicates={"train_val": 11})) == ("info", 20)
    assert worst("labels_or_split_broken", data(apart(0.8, 0.8), duplicates={"train_val": 10})) == ("", 0)
    assert worst("labels_or_split_broken", data(apart(0.8, 0.8), duplicates={"train": 500})) == ("", 0)


def test_labels_that_validate_in_the_end_clear() -> None:
    whole = run(FALLING, {"train_accuracy": 0.6, "val_accuracy": [[1, 0.1], [6, 0.1], [8, 0.5]]})
    kinds = [each.kind for each in replay(whole, [flags()["labels_or_split_broken"].cls()])]
    assert kinds == ["flagged", "cleared"]


# constant_prediction


def constant(share: Any, base: dict[str, Any] = FLAT, **more: Any) -> History:
    return data(run(base, GUESS | {"largest_class_share": share} | more), val_counts=(100,) * 10)


@pytest.mark.parametrize(
    ("share", "severity", "step"), [(0.9, "", 0), (0.91, "warning", 100), (1.0, "warning", 100), (0.5, "", 0)]
)
def test_constant_prediction(share: float, severity: str, step: int) -> None:
    assert worst("constant_prediction", constant(share)) == (severity, step)


def test_constant_prediction_may_be_right_or_on_its_way() -> None:
    assert worst("constant_prediction", constant(1.0, FALLING)) == ("info", 100)
    assert worst("constant_prediction", data(constant(1.0), val_counts=(61, 39))) == ("", 0)
    assert worst("constant_prediction", data(constant(1.0), val_counts=(59, 41))) == ("warning", 100)
    assert worst("constant_prediction", constant([[1, 1.0], [4, 1.0], [5, 0.3]])) == ("", 0)  # two looks after the start
    assert worst("constant_prediction", started(constant(1.0), warmup_steps=400)) == ("", 0)
    clears = constant([[1, 1.0], [8, 1.0], [9, 0.3]])
    assert [each.kind for each in replay(clears, [flags()["constant_prediction"].cls()])] == ["flagged", "cleared"]


def outputs(spread: float, samples: int = 512) -> Outputs:
    return Outputs(
        samples=samples, width=10, low=-1.0, high=2.0, row_sum_error=1.0, column_sum_error=1.0, spread=spread, entropy=2.3
    )


@pytest.mark.parametrize(("spread", "found"), [(1e-6, ("warning", 60)), (3e-6, ("", 0)), (0.0, ("warning", 60))])
def test_equal_outputs_are_proof(spread: float, found: tuple[str, int]) -> None:
    whole = constant(0.5)
    whole.evaluations = [replace(seen, outputs=outputs(spread)) for seen in whole.evaluations]
    assert worst("constant_prediction", whole) == found


# train_eval_gap


def modes(train_mode: float, evaluation: float, *, loss: float = 1.0, mode_loss: float = 0.4, **more: Any) -> History:
    said = {"train_accuracy": evaluation, "train_loss": loss, "train_mode_accuracy": train_mode, "train_mode_loss": mode_loss}
    return run(FALLING, said | more)


@pytest.mark.parametrize(
    ("whole", "found"),
    [
        (modes(0.6, 0.3), ("warning", 140)),
        (modes(0.46, 0.3), ("warning", 140)),
        (modes(0.45, 0.3), ("", 0)),
        (modes(0.6, 0.3, mode_loss=0.49), ("warning", 140)),
        (modes(0.6, 0.3, mode_loss=0.5), ("", 0)),
        (modes(0.3, 0.1, loss=24.0, mode_loss=2.0), ("warning", 80)),  # ten times chance: proof
        (modes(0.3, 0.1, loss=23.0, mode_loss=2.0), ("warning", 140)),
        (modes(0.3, 0.25, loss=24.0, mode_loss=2.0), ("", 0)),
        (modes(0.3, 0.6, loss=0.5, mode_loss=1.0), ("", 0)),  # dropout
        (modes(float("nan"), 0.3), ("", 0)),
        (modes(0.6, 0.3, in_training_mode=True), ("warning", 20)),
    ],
)
def test_train_eval_gap(whole: History, found: tuple[str, int]) -> None:
    assert worst("train_eval_gap", whole) == found


def test_running_statistics_may_lag_at_first_and_averages_always() -> None:
    lagging = run(
        FALLING,
        {
            "train_accuracy": [[1, 0.1], [4, 0.1], [6, 0.6]],
            "train_loss": [[1, 4.0], [4, 4.0], [6, 0.5]],
            "train_mode_accuracy": 0.6,
            "train_mode_loss": 0.4,
        },
    )
    assert worst("train_eval_gap", lagging) == ("", 0)
    averaged = modes(0.6, 0.3)
    averaged.evaluations = [replace(seen, weights="swa") for seen in averaged.evaluations]
    assert worst("train_eval_gap", averaged) == ("info", 140)
    assert worst("train_eval_gap", started(modes(0.6, 0.3), warmup_steps=200)) == ("warning", 340)


def test_slow_statistics_are_told_to_hurry() -> None:
    whole = modes(0.6, 0.3)
    assert remedies("train_eval_gap", whole) == [(), ()]  # a loop of the user's own: advice alone
    whole.recipe = {"model": {"norm": {"name": "batch", "momentum": 0.001}}, "tricks": {}}
    assert remedies("train_eval_gap", whole)[0] == (("model.norm", "{name: batch, momentum: 0.1}"),)
    whole.recipe = {"model": {"norm": {"name": "batch", "momentum": 0.1}}, "tricks": {}}
    assert remedies("train_eval_gap", whole)[0] == (("tricks.recalibrate_bn", "{}"),)


# loss_accuracy_mismatch


@pytest.mark.parametrize(
    ("said", "found"), [(0.5, ("", 0)), (0.54, ("", 0)), (0.549, ("warning", 20)), (45.0, ("warning", 20)), (50.0, ("", 0))]
)
def test_an_accuracy_that_the_outputs_do_not_bear_out(said: float, found: tuple[str, int]) -> None:
    assert worst("loss_accuracy_mismatch", run(FALLING, {"val_accuracy": 0.5, "said_accuracy": said})) == found


@pytest.mark.parametrize(
    ("loss", "probe", "accuracy", "found"),
    [
        (2.07, 2.0, 0.1, ("warning", 100)),
        (2.08, 2.0, 0.1, ("", 0)),
        (2.0, 2.08, 0.1, ("", 0)),  # the clean images are not better known
        (1.5, 1.5, 0.126, ("warning", 100)),
        (1.5, 1.5, 0.127, ("", 0)),
        (-5.0, -5.0, 0.1, ("warning", 100)),
    ],
)
def test_a_loss_that_falls_alone(loss: float, probe: float, accuracy: float, found: tuple[str, int]) -> None:
    said = GUESS | {"train_accuracy": accuracy, "train_loss": probe}
    assert worst("loss_accuracy_mismatch", run({"name": "alone", "loss": loss}, said)) == found


def test_a_majority_lets_the_loss_fall_first() -> None:
    said = GUESS | {"train_accuracy": 0.61, "val_accuracy": 0.61, "train_loss": 0.3}
    shares = {"chance_accuracy": 0.61, "chance_loss": 0.67}
    assert worst("loss_accuracy_mismatch", data(run({"name": "rare", "loss": 0.3}, said, run=shares), val_counts=())) == ("", 0)
    unknown = run({"name": "unknown", "loss": 0.3}, GUESS | {"train_loss": 0.3}, run={"chance_loss": float("nan")})
    assert worst("loss_accuracy_mismatch", unknown) == ("", 0)


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
