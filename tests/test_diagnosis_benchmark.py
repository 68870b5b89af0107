"""The benchmark's own rules: what counts as sick, named, a false alarm, and how a case becomes a recipe."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from diagnosing.cases import Case
from diagnosing.recipes import NotARecipeError, _schedule, recipe
from diagnosing.record import Card
from diagnosing.table import totals
from diagnosing.verdicts import Verdict

from cockpit.recipe import loads
from cockpit.runs.events import Flagged

FILE = Path("nowhere/development.yaml")
SPEC: dict[str, Any] = {
    "id": "one",
    "health": "sick",
    "symptom": "dead_relu",
    "origin": "autotrainer",
    "data": {"source": "blobs", "train": 100, "val": 50, "scaling": "raw"},
    "model": {"family": "mlp", "hidden": [5, 4], "outputs": 3, "activation": "tanh", "init": "xavier_uniform"},
    "loss": {"name": "cross_entropy", "reduction": "mean"},
    "optimizer": {"name": "sgd", "lr": 0.1},
    "schedule": {"name": "constant"},
    "train": {"batch_size": 30, "epochs": 4},
    "tricks": {},
    "defects": [],
    "expected": ["dead_relu"],
    "also": ["not_learning"],
    "truth": {"by": "outcome", "sick_if_val_acc_below": 0.7},
}


def judged(accuracy: float, *found: tuple[str, str], **changed: Any) -> Verdict:
    findings = tuple(Flagged(id=name, severity=severity, epoch=1.0, step=9, headline="") for name, severity in found)
    return Verdict(Card("one", 0, "recipe", accuracy, 1.0, "finished"), Case({**SPEC, **changed}, FILE), findings, 0.01, 0.1)


def test_a_seed_that_ends_well_is_healthy_and_must_be_silent() -> None:
    assert judged(0.69, ("dead_relu", "warning")).false_alarms == ()
    assert judged(0.7, ("dead_relu", "warning"), ("overfitting", "info")).false_alarms == ("dead_relu",)
    built = {"truth": {"by": "construction"}}
    assert judged(0.99, ("dead_relu", "critical"), **built).health == "sick"


def test_only_an_expected_finding_at_warning_names_the_illness() -> None:
    run = judged(0.1, ("dead_relu", "info"), ("not_learning", "warning"), ("lr_too_low", "warning"))
    assert run.detected and run.right is None and run.astray == ("lr_too_low",)
    assert judged(0.1, ("not_learning", "warning"), ("dead_relu", "warning")).right is not None


def test_a_case_without_a_name_is_not_scored_and_any_warning_is_a_false_alarm() -> None:
    run = judged(0.1, ("oscillating", "warning"), expected=[])
    assert run.health == "unscored" and run.false_alarms == ("oscillating",)
    lame = judged(0.5, ("oscillating", "warning"), health="healthy", truth={"healthy_if_val_acc_at_least": 0.9})
    assert lame.health == "unscored" and lame.false_alarms == ()


def test_totals_count_runs() -> None:
    found = totals([judged(0.1, ("dead_relu", "warning")), judged(0.1), judged(0.9), judged(0.9, ("dead_relu", "critical"))])
    assert (found["sick"], found["named"], found["healthy"], found["healthy_with_alarm"]) == (2, 1, 2, 1)
    assert found["median_epochs_to_right"] == 1.0


def test_a_case_becomes_a_recipe_that_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diagnosing.recipes.arrays", lambda case, seed, folder: Path("/nowhere/own.npz"))
    model = {
        "family": "resnet",
        "widths": [8, 16],
        "norm": "batch",
        "outputs": 3,
        "init": "he_normal",
        "zero_init_residual": True,
    }
    for changed in ({}, {"model": model}, {"model": {**SPEC["model"], "dropout": 0.5}}):
        tree, _ = recipe(Case({**SPEC, **changed}, FILE), 3, Path())
        assert loads(yaml.safe_dump(tree)).seed == 3
    assert "resnet" not in tree["model"]["name"] and tree["model"]["layers"] == "fc5 do0.5 fc4 do0.5"


@pytest.mark.parametrize(
    "changed",
    [
        {"defects": ["no_zero_grad"]},
        {"loss": {"name": "cross_entropy", "reduction": "sum"}},
        {"loss": {"name": "nll"}},
        {"model": {**SPEC["model"], "output_activation": "softmax"}},
        {"model": {**SPEC["model"], "activation": "exp"}},
        {"model": {**SPEC["model"], "init": {"name": "normal", "std": 0.1, "bias": 0.1}}},
        {"tricks": {"augment": {"shift": 2}}},
    ],
)
def test_what_a_recipe_cannot_say_becomes_a_loop(monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]) -> None:
    monkeypatch.setattr("diagnosing.recipes.arrays", lambda case, seed, folder: Path("/nowhere/own.npz"))
    with pytest.raises(NotARecipeError):
        recipe(Case({**SPEC, **changed}, FILE), 0, Path())


def test_a_decay_of_every_step_ends_where_its_factor_leads() -> None:
    found = _schedule({**SPEC, "schedule": {"name": "exponential_per_step", "gamma": 0.8}})
    assert found["final"] == pytest.approx(0.8**16)  # 4 epochs of 4 steps, the last one short
