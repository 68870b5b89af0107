"""The flags on canned series: what must rise, what must not, and the limits of both."""

import math
from typing import Any

import pytest
from flags_canned import cases, history

from cockpit.catalog import flags
from cockpit.diagnosis import SEVERITIES, Flag
from cockpit.judge import Finding, replay
from cockpit.recipe import loads
from cockpit.recipe.edits import edit
from cockpit.runs.events import Cleared, Flagged, Remedy

FIRST_SET = {
    "non_finite", "overfitting", "dead_relu", "exploding_gradient", "vanishing_gradient", "bad_initial_loss", "not_learning",
}  # fmt: skip


def chosen(case: dict[str, Any]) -> list[Flag]:
    names = sorted(FIRST_SET) if case["flags"] == "all" else case["flags"]
    return [flags()[name].cls(**case.get("knobs", {})) for name in names]


def findings(case: dict[str, Any]) -> list[Finding]:
    return replay(history(case), chosen(case))


def test_the_first_set_is_in_the_catalogue() -> None:
    assert set(flags()) >= FIRST_SET
    for name in FIRST_SET:
        card = flags()[name]
        assert card.summary and card.when and card.beware and card.source
        assert all(knob.help and knob.range for knob in card.knobs)


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case['file']}: {case['name']}")
def test_case(case: dict[str, Any]) -> None:
    found = findings(case)
    risen = [finding for finding in found if isinstance(finding, Flagged)]
    worst = {finding.id: finding.severity for finding in sorted(risen, key=lambda finding: SEVERITIES.index(finding.severity))}
    assert worst == case["expect"], [f"{finding.step} {finding.id} {finding.headline}" for finding in risen]
    named = [finding.step for finding in risen if finding.severity == case["expect"][finding.id]]
    if case.get("by") is not None:
        assert max(named) <= case["by"]
    if "not_before" in case:
        assert min(named) >= case["not_before"]
    if "cleared" in case:
        assert sorted({finding.id for finding in found if isinstance(finding, Cleared)}) == case["cleared"]


def test_a_finding_says_what_where_and_how_sure() -> None:
    case = next(case for case in cases() if case["name"] == "learned by heart")
    warning = findings(case)[-1]
    assert isinstance(warning, Flagged) and warning.severity == "warning"
    assert warning.t == 0 and warning.step % 20 == 0 and warning.epoch == warning.step / 20
    assert "best of epoch 10" in warning.headline
    assert warning.evidence["best epoch"] == 10 and math.isclose(float(warning.evidence["best val loss"]), 0.8)


def remedies(name: str, recipe: dict[str, Any], edits: list[dict[str, Any]] | None = None) -> list[Remedy]:
    case = next(case for case in cases() if case["name"] == name) | {"recipe": recipe, "edits": edits or []}
    return list([finding for finding in findings(case) if isinstance(finding, Flagged)][-1].remedies)


def edited(found: list[Remedy]) -> dict[str, str]:
    return {path: value for remedy in found for path, value in remedy.edits}


def test_overfitting_offers_only_what_is_off() -> None:
    plain = remedies("learned by heart", {"tricks": {}, "optimizer": {"name": "sgd", "lr": 0.1, "weight_decay": 0.0}})
    assert plain[0].label == "stop, keep the best weights" and plain[0].verb == "stop"
    assert edited(plain) == {
        "tricks.early_stopping": "{patience: 3}",
        "score": "log_loss",
        "tricks.dropout": "{p: 0.2}",
        "tricks.random_crop": "{pad: 1}",
        "optimizer.weight_decay": "0.0005",
    }
    busy = {"tricks": {"dropout": {"p": 0.1}, "random_crop": {"pad": 1}, "early_stopping": {"patience": 5}}}
    assert edited(remedies("learned by heart", busy)) == {}
    live = [{"path": "tricks.dropout", "new": "{p: 0.1}", "step": 50}]
    assert "tricks.dropout" not in edited(remedies("learned by heart", {}, live))


def test_learning_rates_are_computed_from_the_one_in_use() -> None:
    recipe = {"optimizer": {"lr": 0.4}, "schedule": {"warmup_epochs": 0}, "tricks": {"grad_clip": {"max_norm": 1.0}}}
    assert edited(remedies("gradient and loss go up and stay", recipe)) == {
        "optimizer.lr": "0.04",
        "schedule.warmup_epochs": "1",
    }
    assert edited(remedies("gradient and loss go up and stay", {})) == {
        "optimizer.lr": "0.01",
        "tricks.grad_clip": "{max_norm: 1}",
    }
    lowered = [{"path": "optimizer.lr", "new": "0.05", "step": 10}]
    assert edited(remedies("gradient and loss go up and stay", recipe, lowered))["optimizer.lr"] == "0.005"


def test_dead_units_are_not_told_to_use_what_they_use() -> None:
    model = {"activation": {"name": "leaky_relu", "slope": 0.01}, "init": "he_normal", "norm": "batch"}
    assert edited(remedies("a dead layer at chance needs one look", {"model": model, "optimizer": {"lr": 1.0}})) == {
        "optimizer.lr": "0.1"
    }
    assert edited(remedies("a dead layer at chance needs one look", {"model": {"activation": "relu", "norm": "none"}})) == {
        "optimizer.lr": "0.01",
        "model.activation": "leaky_relu",
        "model.init": "he_normal",
        "model.norm": "batch",
    }


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case['file']}: {case['name']}")
def test_every_remedy_is_an_edit_that_the_recipe_takes(case: dict[str, Any]) -> None:
    for finding in findings(case):
        for remedy in finding.remedies if isinstance(finding, Flagged) else ():
            recipe = loads("train: {epochs: 2}")
            for path, value in remedy.edits:
                recipe = edit(recipe, path, value)


@pytest.mark.parametrize(("name", "first"), [("at chance", "1"), ("far above chance", "0.01")])
def test_not_learning_tries_the_more_likely_direction_first(name: str, first: str) -> None:
    case = next(case for case in cases() if case["name"] == name and case["file"] == "not_learning")
    found = [finding for finding in findings(case) if isinstance(finding, Flagged)]
    assert found and all(finding.remedies[0].edits == (("optimizer.lr", first),) for finding in found)
