"""The flag on the first loss, and the remedies of data and structure as edits that a recipe takes."""

import math
from dataclasses import replace
from typing import Any

import pytest
from test_flags_structure import PIXELS, UNEVEN, canned, fed, found

from cockpit.catalog import flags
from cockpit.judge import replay
from cockpit.recipe import loads
from cockpit.recipe.edits import edit


@pytest.mark.parametrize(
    ("loss", "summed"),
    [(128 * 2.302585 * 1.59, True), (128 * 2.302585 * 0.951, True), (128 * 2.302585 * 1.61, False), (60.0, False)],
)
def test_a_loss_that_is_summed_over_the_batch_is_told(loss: float, summed: bool) -> None:
    every = found(canned(measured={"loss": loss}, loss=loss, recipe={"optimizer": {"lr": 0.128}}), "bad_initial_loss")
    assert ("summed over the batch" in every[0].headline) is summed
    if summed:
        assert [remedy.edits for remedy in every[0].remedies] == [(), (("optimizer.lr", "0.001"),)]


def test_inputs_of_another_scale_explain_a_bad_start() -> None:
    seen = fed(PIXELS, measured={"loss": 60.0}, loss=60.0)
    every = replay(seen, [flags()[name].cls() for name in ("bad_initial_loss", "input_scale")])
    assert [finding.id for finding in every] == ["input_scale"]


@pytest.mark.parametrize(
    ("std", "kind", "first", "expected"),
    [
        (0.44721 * 2.99, "Linear", 5.3, "info"),
        (0.44721 * 3.01, "Linear", 5.3, "warning"),  # of 10 inputs each
        (0.44721 * 3.01, "Embedding", 5.3, "info"),
        (0.44721 * 3.01, "Linear", 4.6, ""),
        (1.0, "Linear", 2.4, ""),
        (math.nan, "Linear", 5.3, "info"),
    ],
)
def test_weights_far_above_their_scale_are_to_blame(std: float, kind: str, first: float, expected: str) -> None:
    seen = canned(measured={"loss": first}, loss=[[1, first], [10, 2.0], [400, 0.3]])
    assert seen.started
    seen.started = replace(seen.started, layers=tuple(replace(layer, kind=kind) for layer in seen.started.layers))
    seen.layers["weight_std"][seen.layers["layer"] == 2] = std
    every = found(seen, "bad_initial_loss")
    assert (every[-1].severity if every else "") == expected
    assert expected != "warning" or every[-1].step == 20


@pytest.mark.parametrize(
    ("lr", "init", "optimizer", "second"),
    [
        (0.1, "he_normal", "sgd", {"optimizer.lr": "0.01"}),
        (3.0, "normal_001", "sgd", {"model.init": "he_normal", "optimizer.lr": "0.1"}),
        (0.05, "zeros", "sgd", {"model.init": "he_normal"}),
        (1.0, "he_normal", "adadelta", None),
        (0.001, "he_normal", "adam", None),
    ],
)
def test_standardised_inputs_may_ask_for_other_weights_and_rates(
    lr: float, init: str, optimizer: str, second: dict[str, str] | None
) -> None:
    recipe = {"data": {"standardise": "none"}, "model": {"init": init}, "optimizer": {"lr": lr}}
    seen = fed(PIXELS, recipe=recipe)
    assert seen.started
    seen.started = replace(seen.started, optimizer=optimizer)
    (rise,) = found(seen, "input_scale")
    more = [dict(remedy.edits) for remedy in rise.remedies[1:]]
    assert more == ([{"data.standardise": "train"} | second] if second else [])


@pytest.mark.parametrize(
    ("lr", "optimizer", "second"),
    [(0.001, "sgd", "0.01"), (0.004, "sgd", "0.01"), (0.005, "sgd", ""), (1e-4, "adam", "0.001"), (5e-4, "adam", "")],
)
def test_weights_of_the_right_size_bear_the_usual_rate(lr: float, optimizer: str, second: str) -> None:
    recipe = {"model": {"init": "constant", "activation": "relu", "norm": "batch"}, "optimizer": {"lr": lr}}
    seen = canned(measured={"loss": 12.0}, loss=12.0, recipe=recipe)
    assert seen.started
    seen.started = replace(seen.started, optimizer=optimizer)
    first, *others = found(seen, "bad_initial_loss")[0].remedies
    assert first.edits == (("model.init", "he_normal"),)
    assert others[0].edits == ((("model.init", "he_normal"), ("optimizer.lr", second)) if second else ())


def test_every_remedy_is_an_edit_that_the_recipe_takes() -> None:
    recipe: dict[str, Any] = {
        "data": {"standardise": "none"}, "model": {"init": "zeros"}, "optimizer": {"lr": 3.0},
        "loss": {"name": "cross_entropy", "class_weight": "none"},
    }  # fmt: skip
    seen = fed(PIXELS, recipe=recipe)
    assert seen.started
    seen.started = replace(seen.started, optimizer="sgd", data=replace(seen.started.data, train_counts=UNEVEN))
    rises = found(seen, "input_scale") + found(seen, "label_problem")
    edits = {pair for rise in rises for remedy in rise.remedies for pair in remedy.edits}
    assert {path for path, _ in edits} == {"data.standardise", "model.init", "optimizer.lr", "loss.class_weight"}
    for path, value in edits:
        edit(loads("train: {epochs: 2}"), path, value)
