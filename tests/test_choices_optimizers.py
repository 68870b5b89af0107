"""Optimizers that a library has: bit for bit what it does, groups with settings of their own, formulas for first steps."""

import copy
import io
import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import timm.optim
import torch
from choices import make
from torch import nn, optim
from torch.nn import functional
from torch.optim.optimizer import register_optimizer_step_pre_hook

from cockpit.catalog import family
from cockpit.optim.kernels import bare_step, kernels

CURVATURE = torch.tensor([1.0, 0.1, 10.0])
ONE_GROUP = ("lbfgs",)
"""Optimizers that refuse what would split the weights."""


def descend(build: Callable[[nn.Parameter], optim.Optimizer], steps: int = 20) -> torch.Tensor:
    """Minimise a quadratic bowl; returns where it ends."""
    weight = nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))
    optimizer = build(weight)
    for _ in range(steps):
        optimizer.zero_grad()
        (0.5 * CURVATURE * weight.square()).sum().backward()
        optimizer.step()
    return weight.detach()


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(32, 10))


def train(model: nn.Module, optimizer: optim.Optimizer, first: int, last: int, contract: tuple[str, ...] = ()) -> None:
    """Steps on batches of noise, each a function of its number."""
    for number in range(first, last):
        draw = torch.Generator().manual_seed(number)
        x, y = torch.randn(20, 1, 4, 4, generator=draw), torch.arange(20) % 10

        def again(x: torch.Tensor = x, y: torch.Tensor = y) -> torch.Tensor:
            with torch.enable_grad():
                optimizer.zero_grad()
                loss = functional.cross_entropy(model(x), y)
                with warnings.catch_warnings(action="ignore"):  # of a cycle that zero_grad breaks
                    loss.backward(create_graph="create_graph" in contract)
            return loss.detach()

        again()
        optimizer.step(again) if "closure" in contract else optimizer.step()


SAME: list[tuple[str, dict[str, Any], Callable[..., optim.Optimizer], dict[str, Any]]] = [
    ("gd", {"lr": 0.05, "weight_decay": 0.1}, optim.SGD, {"lr": 0.05, "weight_decay": 0.1}),
    ("sgd", {"lr": 0.05}, optim.SGD, {"lr": 0.05}),
    ("sgd", {"momentum": 0.9, "dampening": 0.3}, optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    (
        "sgd",
        {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
        optim.SGD,
        {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    ),
    ("momentum", {"lr": 0.05}, optim.SGD, {"lr": 0.05, "momentum": 0.9}),
    ("nesterov", {"lr": 0.05}, optim.SGD, {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    ("adagrad", {}, optim.Adagrad, {"lr": 0.01}),
    ("adagrad", {"initial_accumulator_value": 0.5}, optim.Adagrad, {"lr": 0.01, "initial_accumulator_value": 0.5}),
    ("adadelta", {}, optim.Adadelta, {"lr": 1.0}),
    ("adadelta", {"rho": 0.8, "weight_decay": 0.1}, optim.Adadelta, {"rho": 0.8, "weight_decay": 0.1}),
    ("adam", {}, optim.Adam, {"lr": 1e-3}),
    ("adam", {"betas": (0.8, 0.9), "amsgrad": True}, optim.Adam, {"betas": (0.8, 0.9), "amsgrad": True}),
    ("adam", {"weight_decay": 0.1, "eps": 1e-3}, optim.Adam, {"weight_decay": 0.1, "eps": 1e-3}),
    ("adamw", {}, optim.AdamW, {"weight_decay": 0.05}),
    ("adamw", {"lr": 0.1, "weight_decay": 0.5}, optim.AdamW, {"lr": 0.1, "weight_decay": 0.5}),
    ("nadam", {"weight_decay": 0.1}, optim.NAdam, {"lr": 2e-3, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("radam", {"weight_decay": 0.1}, optim.RAdam, {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("rmsprop", {}, optim.RMSprop, {"lr": 1e-3}),
    (
        "rmsprop",
        {"alpha": 0.9, "momentum": 0.5, "centered": True, "weight_decay": 0.1, "eps": 1e-4},
        optim.RMSprop,
        {"lr": 1e-3, "alpha": 0.9, "momentum": 0.5, "centered": True, "weight_decay": 0.1, "eps": 1e-4},
    ),
    ("lion", {"weight_decay": 0.1}, timm.optim.Lion, {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.1}),
    ("torch", {"lr": 0.01}, optim.Adamax, {"lr": 0.01}),
    ("timm", {"lr": 0.01}, timm.optim.AdamP, {"lr": 0.01, "wd_ratio": 0.01, "nesterov": True}),
]
ELSEWHERE = {"lars", "lamb", "muon", "lbfgs", "adasecant", "vsgd", "prodigy", "schedule_free"}
"""Held against something else in the tests of optim."""


@pytest.mark.parametrize(("name", "knobs", "theirs", "arguments"), SAME)
def test_optimizer_is_the_librarys_bit_for_bit(
    name: str, knobs: dict[str, Any], theirs: Callable[..., optim.Optimizer], arguments: dict[str, Any]
) -> None:
    ours = descend(lambda weight: make("optimizer", name, **knobs).build([{"params": [weight]}]))
    kernel = kernels(theirs, [{"params": [torch.ones(1)]}])
    assert torch.equal(ours, descend(lambda weight: theirs([weight], **arguments, **kernel)))
    torch.testing.assert_close(ours, descend(lambda weight: theirs([weight], **arguments)), rtol=2e-6, atol=1e-7)


ONE_PASS = sorted(name for name in family("optimizer") if not family("optimizer")[name].cls().contract)


@pytest.mark.parametrize("name", ONE_PASS)
def test_a_bare_step_is_the_step(name: str) -> None:
    ends = []
    for bare in (False, True):
        model = net()
        optimizer = family("optimizer")[name].cls().build([{"params": list(model.parameters())}])
        for number in range(4):
            optimizer.zero_grad()
            x = torch.randn(20, 1, 4, 4, generator=torch.Generator().manual_seed(number))
            functional.cross_entropy(model(x), torch.arange(20) % 10).backward()
            bare_step(optimizer)() if bare else optimizer.step()
        ends.append([weight.detach() for weight in model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "adam", "adamw", "adagrad"])
def test_weights_that_join_later_are_trained_as_by_torchs_own_loop(name: str) -> None:
    knobs = {"momentum": 0.9} if name == "sgd" else {}
    ends = []
    for fused in (True, False):
        model = net()
        optimizer = make("optimizer", name, lr=0.1, **knobs).build([{"params": list(model.parameters())}])
        assert optimizer.param_groups[0]["fused"]
        if not fused:
            ours = ("fused", "foreach", "decoupled_weight_decay")
            kept = {key: value for key, value in optimizer.defaults.items() if key not in ours}
            twins = {"sgd": optim.SGD, "momentum": optim.SGD, "nesterov": optim.SGD, "adam": optim.Adam, "adamw": optim.AdamW}
            optimizer = twins.get(name, optim.Adagrad)(model.parameters(), **kept, foreach=False)
        for number in range(6):
            model[0].requires_grad_(number >= 3)
            optimizer.zero_grad()
            x = torch.randn(20, 1, 4, 4, generator=torch.Generator().manual_seed(number))
            functional.cross_entropy(model(x), torch.arange(20) % 10).backward()
            optimizer.step()
        # The gradient of a bias before batch norm is rounding alone, of which adaptive steps make whole steps.
        ends.append([weight.detach() for weight in model.parameters() if weight.ndim > 1])
    torch.testing.assert_close(*ends, rtol=1e-3, atol=1e-4)


def test_a_hook_on_the_step_is_called() -> None:
    weight = nn.Parameter(torch.ones(1))
    weight.grad, seen = torch.ones(1), []
    optimizer = optim.SGD([weight], lr=0.1)
    assert bare_step(optimizer) != optimizer.step
    first = optimizer.register_step_post_hook(lambda *_: seen.append("own"))
    bare_step(optimizer)()
    first.remove()
    handle = register_optimizer_step_pre_hook(lambda *_: seen.append("all"))
    bare_step(optimizer)()
    handle.remove()
    bare_step(optimizer)()
    assert seen == ["own", "all"] and float(weight.detach()) == pytest.approx(0.7)


@pytest.mark.parametrize("cls", [optim.SGD, optim.Adam, optim.AdamW, optim.Adagrad])
def test_one_kernel_makes_the_step_where_torch_has_one(cls: type[optim.Optimizer]) -> None:
    real, complex_ = torch.ones(2), torch.ones(2, dtype=torch.complex64)
    assert kernels(cls, [{"params": [real]}]) == {"fused": True}
    assert kernels(cls, [{"params": [real]}, {"params": [complex_]}]) == {}
    assert kernels(optim.RMSprop, [{"params": [real]}]) == {}
    (group,) = cls([nn.Parameter(real)], **kernels(cls, [{"params": [real]}])).param_groups
    assert group["fused"]


def test_every_optimizer_is_in_the_table_or_elsewhere() -> None:
    assert {name for name, *_ in SAME} | ELSEWHERE == set(family("optimizer"))


@pytest.mark.parametrize("name", sorted(set(family("optimizer")) - set(ONE_GROUP)))
def test_a_group_keeps_its_own_settings(name: str) -> None:
    one, two, three = (nn.Parameter(torch.ones(2)) for _ in range(3))
    groups = [
        {"params": [one]},
        {"params": [two], "weight_decay": 0.0, "lr_scale": 0.5, "pinned": ("weight_decay",)},
        {"params": [three], "lr_scale": 4.0, "decay_scale": 0.25},
    ]
    free = {} if "no_lr" in family("optimizer")[name].cls().contract else {"lr": 0.1}
    first, second, third = make("optimizer", name, weight_decay=0.3, **free).build(groups).param_groups
    assert (first["weight_decay"], second["weight_decay"]) == (0.3, 0.0)
    assert (second["lr_scale"], second["pinned"]) == (0.5, ("weight_decay",))
    if free:
        assert (first["lr"], second["lr"], third["lr"]) == (0.1, 0.05, 0.4)
        assert third["weight_decay"] == pytest.approx(0.075)
    assert groups[0].keys() == {"params"}


@pytest.mark.parametrize("name", family("optimizer"))
def test_live_knobs_are_keys_that_are_read_at_every_step(name: str) -> None:
    card = family("optimizer")[name]
    (group,) = card.cls().build([{"params": [nn.Parameter(torch.ones(1, 1))]}]).param_groups
    assert {knob.name for knob in card.knobs if knob.live} <= group.keys()
    assert {knob.name for knob in card.knobs if knob.live} <= card.cls().options().keys()


@pytest.mark.parametrize("name", family("optimizer"))
def test_a_saved_state_goes_on_bit_for_bit(name: str) -> None:
    member = family("optimizer")[name].cls(**{"max_iter": 3} if name == "lbfgs" else {})
    whole, other = net(), net()
    one, two = (member.build([{"params": list(model.parameters())}]) for model in (whole, other))
    train(whole, one, 0, 12, member.contract)
    file = io.BytesIO()
    torch.save({"model": whole.state_dict(), "optimizer": one.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    other.load_state_dict(saved["model"])
    two.load_state_dict(saved["optimizer"])
    for model, optimizer in ((whole, one), (other, two)):
        train(model, optimizer, 12, 15, member.contract)
    for mine, yours in zip(whole.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, yours)
    assert not torch.equal(whole[0].weight, net()[0].weight)


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


def test_the_slides_momentum_differs_where_the_rate_changes_and_only_there() -> None:
    def both(rates: list[float]) -> tuple[float, float]:
        weight = nn.Parameter(torch.tensor([1.0]))
        optimizer = make("optimizer", "momentum").build([{"params": [weight]}])
        slide, velocity = 1.0, 0.0
        for rate in rates:
            optimizer.param_groups[0]["lr"] = rate
            weight.grad = weight.detach().clone()
            optimizer.step()
            velocity = 0.9 * velocity - rate * slide
            slide += velocity
        return float(weight.detach()), slide

    steady, falling = both([0.1] * 5), both([0.1, 0.1, 0.01, 0.01, 0.01])
    assert steady[0] == pytest.approx(steady[1], rel=1e-5)
    assert abs(falling[0] - falling[1]) > 0.05


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
        ("sgd", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "nesterov needs dampening 0"),
        ("adamw", {"betas": (0.9,)}, "betas takes two numbers, as in [0.9, 0.999]; it has 1"),
        ("lion", {"betas": (0.9, 0.9, 0.9)}, "betas takes two numbers, as in [0.9, 0.999]; it has 3"),
        ("timm", {"settings": ("eps",)}, "settings takes texts such as eps=1e-6, got 'eps'"),
        ("torch", {"settings": ("lr=1",)}, "lr is a knob of its own: say it outside of settings"),
    ],
)
def test_settings_that_do_not_fit_get_a_sentence(name: str, knobs: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as caught:
        make("optimizer", name, **knobs)
    assert str(caught.value) == said


def test_the_weights_are_the_networks_own() -> None:
    model = net()
    before = copy.deepcopy(model.state_dict())
    member = make("optimizer", "lars")
    train(model, member.build([{"params": list(model.parameters())}]), 0, 1)
    assert all(not torch.equal(before[name], value) for name, value in model.named_parameters())
