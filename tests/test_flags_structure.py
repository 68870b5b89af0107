"""The flags that look at data, outputs and structure, on made-up histories."""

import math
from dataclasses import replace
from typing import Any

import pytest
from flags_canned import history

from cockpit.catalog import flags
from cockpit.judge import replay
from cockpit.runs.events import Flagged
from cockpit.runs.facts import Inputs, Outputs
from cockpit.runs.history import History


def canned(**said: Any) -> History:
    return history({"name": "structure", **said})


def found(seen: History, name: str, **knobs: Any) -> list[Flagged]:
    return [finding for finding in replay(seen, [flags()[name].cls(**knobs)]) if isinstance(finding, Flagged)]


def worst(seen: History, name: str, **knobs: Any) -> str:
    every = found(seen, name, **knobs)
    return every[-1].severity if every else ""


def inputs(**said: Any) -> Inputs:
    plain: dict[str, Any] = {"samples": 256, "low": 0.0, "high": 1.0, "mean": 0.3, "std": 0.3}
    return Inputs(**(plain | said))


def fed(train: Inputs | None, val: Inputs | None = None, **said: Any) -> History:
    seen = canned(**said)
    assert seen.measured
    seen.measured = replace(seen.measured, inputs=train, val_inputs=val)
    return seen


PIXELS = inputs(high=255.0, mean=33.0, std=78.0)
TWICE = inputs(high=0.0039, mean=0.0005, std=0.0012)


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        (None, ""),
        (inputs(), ""),
        (inputs(low=-2.2, high=2.8, mean=0.0, std=1.0), ""),
        (PIXELS, "warning"),
        (replace(PIXELS, samples=15), ""),
        (replace(PIXELS, samples=16), "warning"),
        (replace(PIXELS, floating=False), "info"),
        (TWICE, "warning"),
        (inputs(high=0.1, std=0.01), ""),
        (inputs(high=0.09, std=0.01), ""),
        (inputs(high=0.09, std=0.0099), "warning"),
        (inputs(high=1.0, std=0.0099), ""),  # a bag of words: rare ones
        (inputs(low=-10, high=10, std=10.0), ""),
        (inputs(low=-10, high=10, std=10.1), "warning"),
        (inputs(low=-8, high=30, mean=0.0, std=1.0, channel_stds=(0.99, 1.01)), ""),
        (inputs(low=-3, high=200, mean=0.0, std=1.0, channel_stds=(0.99, 1.01)), ""),
        (inputs(low=-3, high=50, mean=0.0, std=5.0, channel_stds=(0.99, 20.0)), ""),
        (inputs(low=-3, high=51, mean=0.0, std=5.0, channel_stds=(0.99, 20.0)), "warning"),
        (inputs(low=2000, high=2020, mean=2010, std=3.0, channel_stds=(3.0, 3.0)), "warning"),
        (inputs(low=-3000, high=9000, std=1500, channel_stds=(1.0, 2000.0)), "warning"),
        (inputs(mean=0.02, std=0.14, channel_stds=(0.1, 0.5)), ""),  # one-hot columns
        (inputs(finite=False), "warning"),
        (inputs(constant=3), "info"),
        (inputs(std=math.nan, low=math.nan, high=math.nan, mean=math.nan), ""),
    ],
)
def test_input_scale(train: Inputs | None, expected: str) -> None:
    assert worst(fed(train), "input_scale") == expected


def test_inputs_that_are_no_numbers_are_critical_where_the_loss_is_none_either() -> None:
    assert worst(fed(inputs(finite=False), measured={"loss": math.nan}), "input_scale") == "critical"


def test_tokens_are_whole_numbers_by_right() -> None:
    seen = fed(replace(PIXELS, floating=False, high=50_000.0, std=9000.0))
    assert seen.started
    layers = tuple(replace(layer, kind="Embedding") for layer in seen.started.layers)
    seen.started = replace(seen.started, layers=layers)
    assert worst(seen, "input_scale") == ""


@pytest.mark.parametrize(
    ("val", "expected"),
    [
        (inputs(), ""),
        (inputs(mean=0.6), ""),
        (inputs(mean=0.61), "warning"),
        (inputs(std=0.9), ""),
        (inputs(std=0.91), "warning"),
        (inputs(std=0.099), "warning"),
        (inputs(high=255.0, mean=76.0, std=76.0), "warning"),
        (inputs(high=255.0, mean=76.0, std=76.0, samples=15), ""),
        (inputs(high=60.0, mean=0.3, std=1.0), ""),  # an outlier moved the deviation
    ],
)
def test_validation_on_another_scale(val: Inputs, expected: str) -> None:
    every = found(fed(inputs(), val), "input_scale")
    assert (every[-1].severity if every else "") == expected
    assert all("validation" in finding.headline for finding in every)


def test_uneven_columns_are_the_evidence() -> None:
    (seen,) = found(fed(inputs(low=-3000, high=9000, std=1500, channel_stds=(1.0, 2000.0))), "input_scale")
    assert "channel deviations from 1 to 2e+03" in seen.headline and seen.evidence["largest channel std"] == 2000.0


def test_standardising_is_an_edit_only_where_it_is_off() -> None:
    recipe = {"data": {"name": "mnist", "standardise": "none"}, "optimizer": {"name": "sgd", "lr": 0.1}}
    (seen,) = found(fed(PIXELS, recipe=recipe), "input_scale")
    assert [remedy.edits for remedy in seen.remedies] == [(("data.standardise", "train"),)]
    for other in ({}, {"data": {"name": "mnist", "standardise": "train"}}):
        (seen,) = found(fed(PIXELS, recipe=other), "input_scale")
        assert [remedy.edits for remedy in seen.remedies] == [()]


def outputs(**said: Any) -> Outputs:
    plain: dict[str, Any] = {
        "samples": 512, "width": 10, "low": -3.0, "high": 4.0, "row_sum_error": 5.0, "column_sum_error": 300.0,
        "spread": 1.0, "entropy": 1.5,
    }  # fmt: skip
    return Outputs(**(plain | said))


def answering(*looks: Outputs | None, takes: str = "logits", recalls: int = 10, **said: Any) -> History:
    """The first look is the fresh network's, the others are those of the evaluations; the last one stays."""
    seen = canned(**({"loss": [[1, 2.3], [400, 1.5]]} | said))
    assert seen.started and seen.measured
    seen.started = replace(seen.started, criterion=takes)
    seen.measured = replace(seen.measured, outputs=looks[0])
    later = looks[1:] or looks[:1]
    seen.evaluations = [
        replace(one, outputs=later[min(place, len(later) - 1)], recalls=(0.5,) * recalls)
        for place, one in enumerate(seen.evaluations)
    ]
    return seen


HEAD_OF_ZEROS = outputs(low=0.0, high=0.0, row_sum_error=1.0, column_sum_error=1.0, spread=0.0)
SHARES = outputs(low=0.0, high=1.0, row_sum_error=1e-6, column_sum_error=80.0)
RECTIFIED = outputs(low=0.0, high=6.0)
SQUASHED = outputs(low=0.02, high=0.97, column_sum_error=150.2)


@pytest.mark.parametrize(
    ("looks", "takes", "expected", "says"),
    [
        ((None,), "logits", "", ""),
        ((outputs(),), "logits", "", ""),
        ((outputs(low=math.nan, high=math.nan),), "logits", "", ""),
        ((HEAD_OF_ZEROS, outputs()), "logits", "", ""),
        ((HEAD_OF_ZEROS,), "logits", "", ""),
        ((SHARES,), "logits", "warning", "sum to 1"),
        ((replace(SHARES, row_sum_error=0.00099),), "logits", "warning", "sum to 1"),
        ((replace(SHARES, row_sum_error=0.0011, low=-0.1),), "logits", "", ""),
        ((SHARES,), "probabilities", "", ""),
        ((SHARES,), "", "", ""),
        ((outputs(low=-9.0, high=-0.01),), "logits", "", ""),  # log-probabilities
        ((replace(SHARES, row_sum_error=4.0, column_sum_error=1e-5),), "logits", "warning", "over the batch"),
        ((replace(SHARES, row_sum_error=4.0, column_sum_error=1.00001),), "logits", "warning", "over the batch"),
        ((outputs(low=5e-10, high=1e-9, row_sum_error=1.0, column_sum_error=1.0),), "logits", "", ""),  # vanished
        ((outputs(), RECTIFIED), "logits", "warning", "ReLU on the logits"),
        ((outputs(), replace(RECTIFIED, samples=51)), "logits", "", ""),
        ((outputs(), replace(RECTIFIED, samples=52)), "logits", "warning", "ReLU on the logits"),
        ((outputs(), replace(RECTIFIED, width=1)), "logits", "warning", "ReLU on the logits"),
        ((RECTIFIED, outputs()), "logits", "", ""),
        ((SQUASHED,), "logits", "warning", "sigmoid"),
        ((SQUASHED,), "probabilities", "", ""),
        ((replace(SQUASHED, width=1),), "logits", "warning", "sigmoid"),
        ((replace(SQUASHED, width=1, low=0.3, high=0.8),), "logits", "", ""),  # deep and fresh: all images much alike
        ((replace(SQUASHED, width=3), replace(SQUASHED, width=3), outputs()), "logits", "", ""),
        ((outputs(low=0.1, high=3.0),), "logits", "warning", "no output is negative"),
        ((outputs(low=0.2, high=3.0),), "logits", "", ""),
        ((outputs(low=0.01, high=3.0, width=1),), "logits", "", ""),  # mostly of one class
        ((outputs(low=1.0, high=1.0, width=1, spread=0.0, row_sum_error=0.0),), "probabilities", "critical", "one unit"),
        ((outputs(low=1.0, high=1.0, width=1, spread=0.0, row_sum_error=0.0),), "logits", "critical", "one unit"),
        ((outputs(low=0.0, high=1.0, width=1),), "probabilities", "", ""),
        ((outputs(low=-0.1, high=1.0),), "probabilities", "warning", "shares belong"),
        ((outputs(low=0.0, high=1.01),), "probabilities", "warning", "shares belong"),
        ((outputs(low=0.0, high=1.0009),), "probabilities", "", ""),
        ((outputs(),), "log_probabilities", "warning", "log-probabilities belong"),
        ((outputs(low=-9.0, high=0.0009),), "log_probabilities", "", ""),
        ((outputs(),), "values", "", ""),
        ((SHARES,), "values", "info", "squared or absolute"),
    ],
)
def test_output_loss_mismatch(looks: tuple[Outputs | None, ...], takes: str, expected: str, says: str) -> None:
    every = found(answering(*looks, takes=takes), "output_loss_mismatch")
    assert (every[-1].severity if every else "") == expected
    assert not every or says in every[-1].headline


def test_what_one_look_proves_is_said_at_the_first() -> None:
    (seen,) = found(answering(SHARES), "output_loss_mismatch")
    assert seen.step == 0 and "1.461" in seen.why
    (seen,) = found(answering(outputs(), RECTIFIED), "output_loss_mismatch")
    assert seen.step == 40  # the evaluation at step 20 comes after the look at step 20


def test_a_squared_error_on_probabilities_is_a_fault_only_where_nothing_is_learned() -> None:
    stuck: dict[str, Any] = {"loss": 2.3, "noise": 0.01, "evaluations": {"train_accuracy": 0.1}}
    assert worst(answering(SHARES, takes="values", **stuck), "output_loss_mismatch") == "warning"
    assert worst(answering(SHARES, takes="values", recalls=0, **stuck), "output_loss_mismatch") == ""


@pytest.mark.parametrize(
    ("takes", "loss", "expected"),
    [
        ("logits", -0.1, "critical"),
        ("log_probabilities", -0.1, "critical"),
        ("", -0.1, ""),
        ("values", -0.1, ""),
        ("logits", 0.0, ""),
    ],
)
def test_a_loss_below_zero(takes: str, loss: float, expected: str) -> None:
    assert worst(answering(None, takes=takes, loss=[[1, 0.7], [200, loss], [400, loss]]), "output_loss_mismatch") == expected


EVEN = (100,) * 10
UNEVEN = (1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 50)


def labelled(
    train: tuple[int, ...] = EVEN,
    recalls: tuple[list[float], ...] = (),
    val: int = 100,
    width: int | None = None,
    **said: Any,
) -> History:
    """`recalls`: of every class at each evaluation; the last one stays."""
    seen = canned(**said)
    assert seen.started and seen.measured
    data = replace(seen.started.data, train_counts=train, val_counts=(val,) * len(train))
    seen.started = replace(seen.started, data=data)
    if width:
        seen.measured = replace(seen.measured, outputs=outputs(width=width))
    if recalls:
        seen.evaluations = [
            replace(one, recalls=tuple(recalls[min(place, len(recalls) - 1)])) for place, one in enumerate(seen.evaluations)
        ]
    return seen


@pytest.mark.parametrize(
    ("train", "width", "expected"),
    [
        (EVEN, 10, ""),
        (EVEN, None, ""),
        ((), 10, ""),
        ((0,) * 10, 10, ""),
        ((100,) * 9 + (20,), 10, ""),
        ((100,) * 9 + (19,), 10, "info"),
        ((100,) * 9 + (0,), 10, "info"),
        ((950, 50), 2, "info"),
        ((830, 170), 2, ""),
        ((500, 500), 1, ""),
        ((500, 500, 500), 1, "critical"),
        ((100,) * 10, 9, "critical"),
        ((100,) * 9 + (0,), 9, "info"),
        ((100,) * 10, 100, ""),
        ((0, 1000, 0), 3, "critical"),
        ((1000,), 10, "critical"),
    ],
)
def test_labels_before_the_first_step(train: tuple[int, ...], width: int | None, expected: str) -> None:
    every = found(labelled(train, width=width), "label_problem")
    assert (every[-1].severity if every else "") == expected
    assert all(finding.step == 0 for finding in every)


def test_a_network_that_is_pretrained_without_labels_has_no_label_problem() -> None:
    seen = labelled((1000, 0))
    assert seen.started
    seen.started = replace(seen.started, traits=("no_labels",))
    assert worst(seen, "label_problem") == ""


def rare(*values: float, others: float = 0.8) -> tuple[list[float], ...]:
    return tuple([others] * 9 + [value] for value in values)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"recalls": rare(0.0)}, "warning"),
        ({"recalls": rare(0.29)}, "warning"),
        ({"recalls": rare(0.30)}, "info"),
        ({"recalls": rare(0.0), "val": 50}, "warning"),
        ({"recalls": rare(0.0), "val": 49}, "info"),
        ({"recalls": rare(0.0, others=0.5)}, "info"),  # the others are not known either
        ({"recalls": rare(0.0, 0.0, 0.1, 0.5)}, "info"),  # it takes longer, and comes
        ({"recalls": rare(0.0, 0.0, 0.0, 0.5), "run": {"steps": 1000, "total_steps": 20_000}}, "info"),
        ({"recalls": rare(0.0), "train": (1000,) * 9 + (199,)}, "warning"),
        ({"recalls": rare(0.0), "train": (1000,) * 9 + (200,)}, ""),
        ({"recalls": rare(math.nan)}, "info"),
        ({"recalls": ()}, "info"),
        ({"recalls": ([0.9, 0.1],)}, "info"),  # of other classes than those of the training images
    ],
)
def test_a_rare_class_that_is_not_learned(said: dict[str, Any], expected: str) -> None:
    assert worst(labelled(**({"train": UNEVEN} | said)), "label_problem") == expected


def test_a_fifth_of_the_evaluations_tells() -> None:
    every = found(labelled(UNEVEN, recalls=rare(0.1)), "label_problem")
    assert [(finding.severity, finding.step) for finding in every] == [("info", 0), ("warning", 100)]
    rising = found(labelled(UNEVEN, recalls=rare(0.0, 0.05, 0.1)), "label_problem")
    assert rising[-1].step == 120  # once it has stood for four of twenty, but for the error of a recall
    assert every[-1].headline.startswith("class 9 not learned from 50 images: 10% of 100 known")


def test_class_weights_are_offered_where_the_loss_has_them() -> None:
    def first(loss: dict[str, str]) -> tuple[tuple[str, str], ...]:
        return found(labelled(UNEVEN, recipe={"loss": loss}), "label_problem")[-1].remedies[0].edits

    assert first({"name": "cross_entropy", "class_weight": "none"}) == (("loss.class_weight", "balanced"),)
    assert first({"name": "cross_entropy", "class_weight": "balanced"}) == ()
    assert first({"name": "focal"}) == ()
