"""Schedules: the closed forms against torch's own schedulers, and the numbers that the words on the cards promise."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from choices import make
from torch import optim
from torch.optim import lr_scheduler

from cockpit.catalog import family
from cockpit.travel import Clock

EPOCHS, PER_EPOCH = 6, 10
TOTAL = EPOCHS * PER_EPOCH


def ours(name: str, **knobs: Any) -> list[float]:
    """The factor at every step."""
    schedule = make("schedule", name, **knobs)
    return [schedule.factor(Clock(step, TOTAL, PER_EPOCH)) for step in range(TOTAL)]


def theirs(build: Callable[[optim.Optimizer], Any]) -> list[float]:
    """The learning rate of torch's scheduler at every step, from a full rate of 1."""
    optimizer = optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    scheduler = build(optimizer)
    rates = [optimizer.param_groups[0]["lr"]]
    for _ in range(TOTAL - 1):
        optimizer.step()
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


LIBRARY: list[tuple[str, dict[str, Any], Callable[[optim.Optimizer], Any]]] = [
    ("constant", {}, lambda it: lr_scheduler.ConstantLR(it, factor=1.0)),
    ("step", {"every": 2.0, "gamma": 0.3}, lambda it: lr_scheduler.StepLR(it, 2 * PER_EPOCH, 0.3)),
    ("step", {"every": 0.3}, lambda it: lr_scheduler.StepLR(it, 3, 0.1)),
    ("multistep", {"milestones": (0.1, 0.3, 0.7)}, lambda it: lr_scheduler.MultiStepLR(it, [6, 18, 42], 0.1)),
    ("exponential", {"final": 0.02}, lambda it: lr_scheduler.ExponentialLR(it, 0.02 ** (1 / TOTAL))),
    ("cosine", {"min": 0.05}, lambda it: lr_scheduler.CosineAnnealingLR(it, TOTAL, eta_min=0.05)),
    ("linear", {"min": 0.1}, lambda it: lr_scheduler.LinearLR(it, 1.0, 0.1, TOTAL)),
    ("polynomial", {"power": 3.0}, lambda it: lr_scheduler.PolynomialLR(it, TOTAL, 3.0)),
]


@pytest.mark.parametrize(("name", "knobs", "build"), LIBRARY)
def test_schedule_equals_torchs(name: str, knobs: dict[str, Any], build: Callable[[optim.Optimizer], Any]) -> None:
    assert ours(name, **knobs) == pytest.approx(theirs(build), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("anneal", ["cos", "linear"])
@pytest.mark.parametrize("pct", [0.25, 0.3, 0.01])
def test_one_cycle_equals_torchs(anneal: str, pct: float) -> None:
    rates = theirs(
        lambda it: lr_scheduler.OneCycleLR(it, 1.0, TOTAL, pct_start=pct, anneal_strategy=anneal, cycle_momentum=False)
    )
    assert ours("one_cycle", pct_start=pct, anneal=anneal) == pytest.approx(rates, rel=1e-12, abs=1e-14)


def test_one_cycle_ignores_the_warm_up() -> None:
    assert ours("one_cycle", warmup_epochs=2.0) == ours("one_cycle")


def test_wsd_is_flat_and_then_a_line() -> None:
    factors = ours("wsd", decay_frac=0.5, min=0.1)
    assert factors[: TOTAL // 2 + 1] == [1.0] * (TOTAL // 2 + 1)
    falls = [before - after for before, after in itertools.pairwise(factors[TOTAL // 2 :])]
    assert falls == pytest.approx([0.9 / (TOTAL // 2)] * len(falls))


@pytest.mark.parametrize("name", [name for name in family("schedule") if name != "one_cycle"])
def test_warm_up_rises_in_a_line_and_hands_over_to_the_shape(name: str) -> None:
    factors = ours(name, warmup_epochs=2.0, warmup_from=0.1)
    warm = 2 * PER_EPOCH
    assert factors[:warm] == pytest.approx([0.1 + 0.9 * (step + 1) / warm for step in range(warm)])
    assert factors[warm] == pytest.approx(1.0)


@pytest.mark.parametrize("name", family("schedule"))
@pytest.mark.parametrize("total", [1, 2, 3, 7])
def test_the_shortest_runs_have_a_rate(name: str, total: int) -> None:
    schedule = make("schedule", name)
    factors = [schedule.factor(Clock(step, total, total)) for step in range(total)]
    assert all(0 <= factor <= 1 for factor in factors)
    assert factors[0] > 0
