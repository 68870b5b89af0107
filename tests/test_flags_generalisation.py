"""Flags on what evaluations say: each on a canned run that has what its rule asks for, and on the near misses."""

from dataclasses import replace
from typing import Any

import pytest
from flags_runs import FALLING, GUESS, constant, data, remedies, run, started, worst

from cockpit.catalog import flags
from cockpit.judge import replay
from cockpit.runs.facts import Outputs
from cockpit.runs.history import History

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


@pytest.mark.parametrize(
    ("share", "severity", "step"), [(0.9, "", 0), (0.91, "warning", 160), (1.0, "warning", 160), (0.5, "", 0)]
)
def test_constant_prediction(share: float, severity: str, step: int) -> None:
    assert worst("constant_prediction", constant(share)) == (severity, step)


def test_constant_prediction_may_be_right_or_on_its_way() -> None:
    assert worst("constant_prediction", constant(1.0, FALLING)) == ("info", 100)
    assert worst("constant_prediction", data(constant(1.0), val_counts=(61, 39))) == ("", 0)
    assert worst("constant_prediction", data(constant(1.0), val_counts=(59, 41))) == ("warning", 160)
    assert worst("constant_prediction", constant([[1, 1.0], [4, 1.0], [5, 0.3]])) == ("", 0)  # two looks after the start
    assert worst("constant_prediction", started(constant(1.0), warmup_steps=400)) == ("", 0)
    clears = constant([[1, 1.0], [8, 1.0], [9, 0.3]])
    found = [getattr(each, "severity", each.kind) for each in replay(clears, [flags()["constant_prediction"].cls()])]
    assert found == ["info", "warning", "cleared"]  # a note while it may be a plateau: 30 % of 400 steps


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
