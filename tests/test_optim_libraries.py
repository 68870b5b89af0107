"""Optimizers by name: every one of torch and timm that can run here runs, and what cannot says why in a sentence."""

import importlib.util
import inspect
from typing import Any

import pytest
import timm.optim
import torch
from choices import make
from test_choices_optimizers import net, train
from torch import nn, optim

from cockpit.recipe import loads

OUTSIDE = ("bnb", "fused", "kron")
"""Names that need other packages, or that compile themselves for minutes before their first step."""
TIMM = [name for name in timm.optim.list_optimizers() if not name.startswith(OUTSIDE)]
TORCH = sorted(
    name
    for name, cls in vars(optim).items()
    if inspect.isclass(cls) and name not in ("Optimizer", "LBFGS", "Muon", "SparseAdam") and issubclass(cls, optim.Optimizer)
)


@pytest.mark.parametrize(("library", "which"), [*(("timm", name) for name in TIMM), *(("torch", name) for name in TORCH)])
def test_every_name_trains(library: str, which: str) -> None:
    model = net()
    member = make("optimizer", library, which=which)
    optimizer = member.build([{"params": list(model.parameters())}])
    train(model, optimizer, 0, 2, member.contract)
    assert not torch.equal(model[0].weight, net()[0].weight)
    assert all(weight.isfinite().all() for weight in model.parameters())


def test_only_adahessian_asks_for_second_derivatives() -> None:
    second = {name for name in timm.optim.list_optimizers() if timm.optim.get_optimizer_info(name).second_order}
    assert {name for name in timm.optim.list_optimizers() if make("optimizer", "timm", which=name).contract} == second
    assert make("optimizer", "timm", which="AdaHessian").traits == ("create_graph",)


def test_settings_reach_the_optimizer() -> None:
    member = make(
        "optimizer", "timm", which="adan", lr=0.02, weight_decay=0.1, settings=("betas=[0.9, 0.8, 0.7]", "eps = 1e-4")
    )
    (group,) = member.build([{"params": [nn.Parameter(torch.ones(2))]}]).param_groups
    assert (group["lr"], group["weight_decay"], group["betas"], group["eps"]) == (0.02, 0.1, (0.9, 0.8, 0.7), 1e-4)
    assert member.options() == {"lr": 0.02, "weight_decay": 0.1, "betas": (0.9, 0.8, 0.7), "eps": 1e-4}
    member = make("optimizer", "torch", which="rmsprop", settings=("centered=true", "foreach=null"))
    assert member.build([{"params": [nn.Parameter(torch.ones(2))]}]).param_groups[0]["centered"] is True


@pytest.mark.parametrize(
    ("library", "knobs", "said"),
    [
        ("timm", {"which": "adampp"}, "timm has no optimizer 'adampp'; did you mean "),
        ("timm", {"which": "lookahead_adam"}, "timm has no optimizer 'lookahead_adam'"),
        ("torch", {"which": "Adamx"}, "torch.optim has no optimizer 'Adamx'; did you mean Adam"),
        ("torch", {"which": "zzz"}, "torch.optim has no optimizer 'zzz'; there are Adadelta, Adafactor"),
        ("torch", {"which": "LBFGS"}, "take optimizer: lbfgs"),
        ("torch", {"which": "SparseAdam"}, "take optimizer: adam"),
        ("torch", {"which": "muon"}, "take optimizer: muon"),
        ("torch", {"which": "rprop", "weight_decay": 0.1}, "Rprop has no weight decay: set optimizer.weight_decay to 0"),
        ("torch", {"settings": ("beta=(0.9, 0.9)",)}, "Adamax has no setting 'beta'; did you mean betas?"),
        ("torch", {"settings": ("betas=(2, 0.9)",)}, "Adamax: Invalid beta parameter at index 0: 2"),
        ("torch", {"settings": ("betas=much",)}, "Adamax: "),
    ],
)
def test_what_does_not_fit_gets_a_sentence(library: str, knobs: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as caught:
        member = make("optimizer", library, **knobs)
        member.build([{"params": list(net().parameters())}])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("which", "package"), [("bnbadam8bit", "bitsandbytes"), ("fusedadamw", "apex")])
def test_a_name_of_another_package_says_which(which: str, package: str) -> None:
    if importlib.util.find_spec(package):
        pytest.skip(f"{package} is here")
    plain = "adam" if "8bit" in which else "adamw"
    with pytest.raises(ValueError) as caught:
        make("optimizer", "timm", which=which).build([{"params": [nn.Parameter(torch.ones(2))]}])
    assert str(caught.value) == f"{which} needs the package {package}, which is not installed; {plain} needs nothing more"


def test_a_recipe_says_it_in_one_word() -> None:
    recipe = loads("about: a test\noptimizer: {name: 'timm:adan', lr: 0.01}\n")
    assert (recipe.optimizer.which, recipe.optimizer.lr) == ("adan", 0.01)
    assert loads("about: a test\noptimizer: 'torch:ASGD'\n").optimizer.which == "ASGD"
