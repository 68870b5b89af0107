"""Schedules: the closed forms against torch's own schedulers, and the numbers that the words on the cards promise."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from choices import make
from conftest import TINY
from kit import moment, parts
from test_loop import stop_after
from torch import nn, optim
from torch.optim import lr_scheduler

from cockpit.cards import card_of
from cockpit.catalog import family
from cockpit.host.flight import Flight
from cockpit.launch import new_run
from cockpit.recipe import RecipeError, loads
from cockpit.runs.history import read_history
from cockpit.travel import Clock, Verdict

EPOCHS, PER_EPOCH = 6, 10
TOTAL = EPOCHS * PER_EPOCH
OWN_RISE = ("one_cycle", "triangular", "knots")
"""Those that ignore the warm-up."""


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
    ("cosine_restarts", {"cycles": 3}, lambda it: lr_scheduler.CosineAnnealingWarmRestarts(it, 20)),
    ("cosine_restarts", {"cycles": 4, "mult": 2.0}, lambda it: lr_scheduler.CosineAnnealingWarmRestarts(it, 4, 2)),
    ("cosine_restarts", {"cycles": 60}, lambda it: lr_scheduler.CosineAnnealingWarmRestarts(it, 1)),
    ("triangular", {"base": 0.1, "period": 3.0}, lambda it: lr_scheduler.CyclicLR(it, 0.1, 1, 15, cycle_momentum=False)),
    ("inv_sqrt", {"unit": "step", "k0": 3.0}, lambda it: lr_scheduler.LambdaLR(it, lambda t: (t + 4) ** -0.5)),
    ("inv_time", {"k": 0.5}, lambda it: lr_scheduler.LambdaLR(it, lambda t: 1 / (1 + t / 20))),
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


@pytest.mark.parametrize("name", OWN_RISE)
def test_a_rise_of_its_own_ignores_the_warm_up(name: str) -> None:
    assert ours(name, warmup_epochs=2.0) == ours(name)
    assert "warmup_epochs is ignored" in family("schedule")[name].beware


def test_restarts_shrink_by_decay() -> None:
    whole, shrunk = ours("cosine_restarts"), ours("cosine_restarts", decay=0.5)
    assert shrunk == pytest.approx([0.5 ** (step // 20) * rate for step, rate in enumerate(whole)], rel=1e-12)


def test_restarts_divide_the_run_whatever_the_ratio() -> None:
    factors = ours("cosine_restarts", cycles=3, mult=1.5)
    starts = [step for step in range(1, TOTAL) if factors[step] > factors[step - 1]]
    assert starts == [math.ceil(TOTAL * share) for share in (1 / 4.75, 2.5 / 4.75)]


def test_inverse_roots_count_from_the_end_of_the_warm_up() -> None:
    for unit, pace in (("epoch", PER_EPOCH), ("step", 1)):
        factors = ours("inv_sqrt", unit=unit, warmup_epochs=1.0)
        assert factors[PER_EPOCH:] == pytest.approx([(step / pace + 1) ** -0.5 for step in range(TOTAL - PER_EPOCH)])


def test_knots_are_joined_by_straight_lines() -> None:
    at, values = (0.1, 0.23, 0.5, 0.9), (0.2, 1.0, 1.5, 0.0)
    want = np.interp(np.arange(TOTAL) / TOTAL, at, values)
    assert ours("knots", at=at, values=values) == pytest.approx(want.tolist(), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ("at: [0, 1]", "at has 2, values has 3"),
        ("at: [0], values: [1]", "two or more"),
        ("at: [0, 0.5, 0.5], values: [1, 2, 3]", r"must rise.*\[0.0, 0.5\]"),
        ("at: [0.5, 0], values: [1, 2]", r"must rise.*\[0.0, 0.5\]"),
    ],
)
def test_knots_that_do_not_belong_together_are_refused(knobs: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        loads(f"schedule: {{name: knots, {knobs}}}")


LOSSES = [1.0, 0.9, 0.9, math.nan, 0.95, 0.89, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.5, 0.6]


@pytest.mark.parametrize("patience", [0, 1, 2])
def test_plateau_drops_when_torchs_does(patience: int) -> None:
    plug = make("schedule", "plateau", gamma=0.3, patience=patience).plug(parts(nn.Linear(1, 1)))
    optimizer = optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    twin = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.3, patience=patience, threshold=0)
    rates = []
    for count, loss in enumerate(LOSSES, 1):
        assert plug.verdict(Verdict(True, loss, count)) == Verdict(True, loss, count) or math.isnan(loss)
        twin.step(loss)
        rates.append(plug.schedule(2.0, moment()) / 2)
        assert rates[-1] == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        saved, plug = plug.state_dict(), make("schedule", "plateau", gamma=0.3, patience=patience).plug(parts(nn.Identity()))
        plug.load_state_dict(saved)
    assert rates[-1] < rates[0]


def test_the_rate_of_a_run_follows_its_own_evaluations_also_after_a_resume(fly: Any, runs: Any) -> None:
    edits = ("train.epochs=8", "schedule={name: plateau, patience: 0, gamma: 0.5}", "optimizer.lr=2")
    flight = fly(TINY, *edits)
    assert flight.end.state == "finished", flight.end.reason
    history = read_history(flight.run)
    best, rate, want = math.inf, 2.0, []
    for seen in history.evaluations:
        want += [rate] * 6
        best, rate = (seen.val_loss, rate) if seen.val_loss < best else (best, rate / 2)
    assert history.steps["lr"].tolist() == want
    assert 1 < len(set(want)) < 8

    run = new_run(loads(TINY, edits=edits), runs, "broken", allow_code=False, command=[])
    stop_after(Flight(run, say=print), 40).fly()
    Flight(run, resume=True, say=print).fly()
    assert read_history(run).steps["lr"].tolist() == want


@pytest.mark.parametrize("name", family("schedule"))
def test_every_schedule_but_a_constant_one_is_said_to_move(name: str) -> None:
    for warm in (0.0, 1.0):
        schedule = make("schedule", name, warmup_epochs=warm)
        said = "moving_rate" in (*card_of(schedule).tags, *schedule.traits)
        factors = {schedule.factor(Clock(step, 600, PER_EPOCH)) for step in range(600)}
        assert said == (name == "plateau" or len(factors) > 1)


def test_wsd_is_flat_and_then_a_line() -> None:
    factors = ours("wsd", decay_frac=0.5, min=0.1)
    assert factors[: TOTAL // 2 + 1] == [1.0] * (TOTAL // 2 + 1)
    falls = [before - after for before, after in itertools.pairwise(factors[TOTAL // 2 :])]
    assert falls == pytest.approx([0.9 / (TOTAL // 2)] * len(falls))


@pytest.mark.parametrize("name", [name for name in family("schedule") if name not in OWN_RISE])
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
