"""vSGD with curvature from finite differences. Schaul et al. 2012, arXiv 1206.1106; Schaul & LeCun 2013, arXiv 1301.3764.

Not the variational SGD of arXiv 2404.06549, which libraries call by the same name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

EPS = 1e-12
FLAT, STEEP = 1e-4, 1e4
"""Curvatures outside are taken for the nearer of the two."""
MEANS = ("grad", "grad2", "curve", "curve2")


class Vsgd(Optimizer):
    """The groups' `lr` is not looked at. Weight decay is added to the gradient.

    The first n0 steps only measure: the weights stay. The batch counts as one sample, whatever its size.
    """

    def __init__(self, groups: list[dict[str, Any]], *, slow: float, n0: int, weight_decay: float) -> None:
        super().__init__(groups, {"slow": slow, "n0": n0, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any]) -> None:  # type: ignore[override]
        """With the gradients of the batch in place, look at the same batch once more, one mean gradient away, and move."""
        held = [(weight, group) for group in self.param_groups for weight in group["params"] if weight.grad is not None]
        here = [_gradient(weight, group) for weight, group in held]
        home = [weight.clone() for weight, _ in held]
        away = [_probe(self.state[weight], grad, group["n0"]) for (weight, group), grad in zip(held, here, strict=True)]
        for (weight, _), probe in zip(held, away, strict=True):
            weight.add_(probe)
        closure()
        for (weight, group), grad, probe, old in zip(held, here, away, home, strict=True):
            curve = (_gradient(weight, group) - grad).abs() / (probe.abs() + EPS)
            move = _move(self.state[weight], grad, curve.clamp_(FLAT, STEEP), group)
            weight.copy_(old - move)


def _gradient(weight: Tensor, group: dict[str, Any]) -> Tensor:
    assert weight.grad is not None
    return weight.grad.add(weight, alpha=group["weight_decay"])


def _probe(state: dict[str, Any], grad: Tensor, n0: int) -> Tensor:
    """The mean gradient, by which the weights are displaced for the second look."""
    if not state:
        state.update({name: torch.zeros_like(grad) for name in MEANS})
        state["memory"], state["steps"] = torch.full_like(grad, float(n0)), 0
    if state["steps"] < n0:
        return torch.lerp(state["grad"], grad, 1 / (state["steps"] + 1))
    mean: Tensor = state["grad"]
    return mean


def _move(state: dict[str, Any], grad: Tensor, curve: Tensor, group: dict[str, Any]) -> Tensor:
    """Take the gradient and the curvature into the means; the step that they lead to."""
    seen = dict(zip(MEANS, (grad, grad.square(), curve, curve.square()), strict=True))
    state["steps"] += 1
    if state["steps"] <= group["n0"]:
        _average(state, seen, torch.full_like(grad, 1 / state["steps"]))
        if state["steps"] == group["n0"]:
            _slow_start(state, group["slow"])
        return torch.zeros_like(grad)
    wild = _far(grad, state["grad"], state["grad2"]) | _far(curve, state["curve"], state["curve2"])
    state["memory"].add_(wild)
    _average(state, seen, 1 / state["memory"])
    certain = state["grad"].square() / (state["grad2"] + EPS)
    state["memory"].mul_(1 - certain).add_(1)
    move: Tensor = certain * state["curve"] / state["curve2"] * grad
    return move


def _slow_start(state: dict[str, Any], slow: float) -> None:
    """Overrate noise and curvature at first, so that the first steps are small."""
    for name, factor in (("grad2", slow), ("curve", slow), ("curve2", slow * slow)):
        state[name].mul_(factor)


def _far(value: Tensor, mean: Tensor, square: Tensor) -> Tensor:
    return (value - mean).square() > 4 * (square - mean.square()).clamp(min=0)


def _average(state: dict[str, Any], seen: dict[str, Tensor], fresh: Tensor) -> None:
    for name, value in seen.items():
        state[name].lerp_(value, fresh)
