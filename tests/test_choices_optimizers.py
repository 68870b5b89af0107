"""Optimizers: bit for bit what torch does, groups with settings of their own, and plain formulas for the first steps."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from choices import make
from torch import nn, optim

from cockpit.catalog import family

CURVATURE = torch.tensor([1.0, 0.1, 10.0])


def descend(build: Callable[[nn.Parameter], optim.Optimizer], steps: int = 20) -> torch.Tensor:
    """Minimise a quadratic bowl; returns where it ends."""
    weight = nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))
    optimizer = build(weight)
    for _ in range(steps):
        optimizer.zero_grad()
        (0.5 * CURVATURE * weight.square()).sum().backward()
        optimizer.step()
    return weight.detach()


SAME: list[tuple[str, dict[str, Any], type[optim.Optimizer], dict[str, Any]]] = [
    ("sgd", {"lr": 0.05}, optim.SGD, {"lr": 0.05}),
    ("sgd", {"lr": 0.05, "momentum": 0.9}, optim.SGD, {"lr": 0.05, "momentum": 0.9}),
    (
        "sgd",
        {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
        optim.SGD,
        {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    ),
    ("adam", {}, optim.Adam, {"lr": 1e-3}),
    ("adam", {"betas": (0.8, 0.9), "amsgrad": True}, optim.Adam, {"betas": (0.8, 0.9), "amsgrad": True}),
    ("adam", {"weight_decay": 0.1, "eps": 1e-3}, optim.Adam, {"weight_decay": 0.1, "eps": 1e-3}),
    ("adamw", {}, optim.AdamW, {"weight_decay": 0.05}),
    ("adamw", {"lr": 0.1, "weight_decay": 0.5}, optim.AdamW, {"lr": 0.1, "weight_decay": 0.5}),
    ("rmsprop", {}, optim.RMSprop, {"lr": 1e-3}),
    (
        "rmsprop",
        {"alpha": 0.9, "momentum": 0.5, "centered": True, "weight_decay": 0.1, "eps": 1e-4},
        optim.RMSprop,
        {"lr": 1e-3, "alpha": 0.9, "momentum": 0.5, "centered": True, "weight_decay": 0.1, "eps": 1e-4},
    ),
]


@pytest.mark.parametrize(("name", "knobs", "theirs", "arguments"), SAME)
def test_optimizer_is_torchs_bit_for_bit(
    name: str, knobs: dict[str, Any], theirs: type[optim.Optimizer], arguments: dict[str, Any]
) -> None:
    ours = descend(lambda weight: make("optimizer", name, **knobs).build([{"params": [weight]}]))
    assert torch.equal(ours, descend(lambda weight: theirs([weight], **arguments)))


def test_every_optimizer_is_in_the_table() -> None:
    assert {name for name, *_ in SAME} == set(family("optimizer"))


@pytest.mark.parametrize("name", family("optimizer"))
def test_a_group_keeps_its_own_settings(name: str) -> None:
    one, two = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    groups = [{"params": [one]}, {"params": [two], "weight_decay": 0.0, "lr_scale": 0.5, "pinned": ("weight_decay",)}]
    first, second = make("optimizer", name, lr=0.1, weight_decay=0.3).build(groups).param_groups
    assert (first["lr"], first["weight_decay"]) == (0.1, 0.3)
    assert (second["lr"], second["weight_decay"], second["lr_scale"], second["pinned"]) == (0.05, 0.0, 0.5, ("weight_decay",))
    assert groups[0].keys() == {"params"}


def test_live_knobs_are_keys_that_torch_reads_at_every_step() -> None:
    for card in family("optimizer").values():
        weight = nn.Parameter(torch.ones(1))
        (group,) = card.cls().build([{"params": [weight]}]).param_groups
        assert {knob.name for knob in card.knobs if knob.live} <= group.keys()


def test_sgds_momentum_may_change_while_it_runs() -> None:
    weight = nn.Parameter(torch.tensor([1.0]))
    optimizer = make("optimizer", "sgd", lr=0.1).build([{"params": [weight]}])
    expected, velocity = 1.0, 0.0
    for momentum in (0.0, 0.0, 0.9, 0.9, 0.5):
        optimizer.param_groups[0]["momentum"] = momentum
        weight.grad = weight.detach().clone()
        optimizer.step()
        velocity = momentum * velocity + expected if momentum else 0.0
        expected -= 0.1 * (velocity if momentum else expected)
        assert float(weight.detach()) == pytest.approx(expected, rel=1e-5)


def test_adams_first_step_is_the_learning_rate_whatever_the_gradient() -> None:
    end = descend(lambda weight: make("optimizer", "adam", lr=0.01).build([{"params": [weight]}]), steps=1)
    torch.testing.assert_close(end, torch.tensor([0.99, -1.99, 0.49]))


def test_adamw_shrinks_weights_that_have_no_gradient() -> None:
    weight = nn.Parameter(torch.tensor([2.0]))
    optimizer = make("optimizer", "adamw", lr=0.1, weight_decay=0.5).build([{"params": [weight]}])
    weight.grad = torch.zeros(1)
    optimizer.step()
    assert float(weight.detach()) == pytest.approx(2 * (1 - 0.1 * 0.5))


def test_rmsprops_first_step_is_large() -> None:
    end = descend(lambda weight: make("optimizer", "rmsprop", lr=0.01).build([{"params": [weight]}]), steps=1)
    torch.testing.assert_close(end, torch.tensor([1.0, -2.0, 0.5]) - 0.01 / math.sqrt(0.01) * torch.tensor([1.0, -1.0, 1.0]))


@pytest.mark.parametrize(
    ("name", "knobs", "said"),
    [
        ("sgd", {"nesterov": True}, "nesterov needs a momentum above 0; 0.9 is usual"),
        ("adamw", {"betas": (0.9,)}, "betas takes two numbers, as in [0.9, 0.999]; it has 1"),
    ],
)
def test_settings_that_do_not_fit_get_a_sentence(name: str, knobs: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as caught:
        make("optimizer", name, **knobs).build([{"params": [nn.Parameter(torch.ones(1))]}])
    assert str(caught.value) == said
