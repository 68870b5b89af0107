"""Optimizers of torch and timm by name. Whatever does not fit is a ValueError with the nearest thing that does."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import timm.optim
import torch

ELSEWHERE = {
    "lbfgs": "LBFGS looks at the whole training set several times a step: take optimizer: lbfgs",
    "muon": "torch's Muon takes matrices only: take optimizer: muon, which hands the rest to AdamW",
    "sparseadam": "SparseAdam wants sparse gradients, and those of images are dense: take optimizer: adam",
}


def torch_optimizer(which: str, groups: list[dict[str, Any]], options: dict[str, Any]) -> torch.optim.Optimizer:
    """The class of torch.optim of that name, in any case. `options` has lr and weight_decay."""
    classes = {
        name.lower(): cls
        for name, cls in vars(torch.optim).items()
        if inspect.isclass(cls) and issubclass(cls, torch.optim.Optimizer) and cls is not torch.optim.Optimizer
    }
    if which.lower() in ELSEWHERE:
        raise ValueError(ELSEWHERE[which.lower()])
    if which.lower() not in classes:
        names = {cls.__name__ for name, cls in classes.items() if name not in ELSEWHERE}
        raise ValueError(f"torch.optim has no optimizer {which[:40]!r}; {_near(which, names)}")
    cls = classes[which.lower()]
    if "weight_decay" not in inspect.signature(cls).parameters:
        if options["weight_decay"]:
            raise ValueError(f"{cls.__name__} has no weight decay: set optimizer.weight_decay to 0")
        options = {key: value for key, value in options.items() if key != "weight_decay"}
    return _made(cls, cls, groups, options)


def timm_optimizer(which: str, groups: list[dict[str, Any]], options: dict[str, Any]) -> torch.optim.Optimizer:
    """What timm's factory makes of a name. Names of other packages need those packages."""
    names = timm.optim.list_optimizers()
    name = which.lower()
    if name not in names:
        raise ValueError(f"timm has no optimizer {which[:40]!r}; {_near(name, names)}")
    cls = timm.optim.get_optimizer_info(name).opt_class
    if isinstance(cls, str):
        package = cls.partition(".")[0]
        plain = name.removeprefix("bnb").removeprefix("fused").removesuffix("8bit")
        if importlib.util.find_spec(package) is None:
            near = f"; {plain} needs nothing more" if plain in names else ""
            raise ValueError(f"{name} needs the package {package}, which is not installed{near}")
        cls = timm.optim.get_optimizer_class(name, bind_defaults=False)

    return _made(cls, partial(timm.optim.create_optimizer_v2, opt=name), groups, options)


def _made(
    cls: Callable[..., Any], make: Callable[..., Any], groups: list[dict[str, Any]], arguments: dict[str, Any]
) -> torch.optim.Optimizer:
    name = getattr(cls, "__name__", str(cls))
    legal = [key for key in inspect.signature(cls).parameters if key not in ("self", "params")]
    for key in arguments:
        if key not in legal:
            raise ValueError(f"{name} has no setting {key[:40]!r}; {_near(key, legal)}")
    try:
        built: torch.optim.Optimizer = make(groups, **arguments)
    except (TypeError, AssertionError, ImportError, RuntimeError, ValueError) as error:
        raise ValueError(f"{name}: {' '.join(str(error).split())}") from error
    return built


def _near(word: str, names: Iterable[str]) -> str:
    by_lower = {name.lower(): name for name in sorted(names)}
    near = difflib.get_close_matches(word.lower(), by_lower, n=3)
    if near:
        return f"did you mean {' or '.join(by_lower[name] for name in near)}?"
    return f"there are {', '.join(sorted(by_lower.values(), key=str.lower))}"
