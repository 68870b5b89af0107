"""AdaSecant: a rate for every weight from the secant of its gradient. Gulcehre & Bengio 2014, arXiv 1412.7419."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

EPS = 1e-7
"""Under the roots too, as in Adadelta: without it a rate that once is 0 stays 0."""
START_MEMORY = 2.2
"""Steps that the running means look back on at the start, and after an outlier."""
LEAST_MEMORY, MOST_MEMORY = 1.5, 1e8
FIRST_STEP = 1e-4
"""The first mean of the squared step, as a share of the squared gradient; the paper names none."""
OUTLIER = 2.0
"""Standard deviations from the mean at which the past is forgotten."""
MEANS = ("grad", "grad2", "secant", "secant2", "move", "move2", "product", "top", "bottom", "seen")


class AdaSecant(Optimizer):
    """The groups' `lr` is not looked at. Weight decay is added to the gradient."""

    def __init__(
        self, groups: list[dict[str, Any]], *, gamma_clip: float, decay: float, adagrad_floor: bool, weight_decay: float
    ) -> None:
        knobs = {"gamma_clip": gamma_clip, "decay": decay, "adagrad_floor": adagrad_floor, "weight_decay": weight_decay}
        super().__init__(groups, knobs)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    grad = weight.grad.add(weight, alpha=group["weight_decay"])
                    weight.add_(_move(self.state[weight], grad / (grad.norm() + EPS), group))


def _move(state: dict[str, Any], g: Tensor, group: dict[str, Any]) -> Tensor:
    """The step of one tensor whose normalised gradient is g."""
    if not state:
        state.update({name: torch.zeros_like(g) for name in MEANS})
        state["memory"] = torch.full_like(g, START_MEMORY)
        state["move2"] = FIRST_STEP * g.square()
        state["last"] = g
        start: Tensor = -state["move2"].sqrt() * g.sign()
        return start
    calm = _variance_reduced(state, g, group["gamma_clip"])
    secant = g - state["last"]
    wild = _far(g, state["grad"], state["grad2"]) | _far(secant, state["secant"], state["secant2"])
    state["memory"].masked_fill_(wild, START_MEMORY)
    fresh = 1 / state["memory"]
    _average(state, {"secant": secant, "secant2": secant.square()}, fresh)
    _average(state, {"grad": g, "grad2": g.square()}, torch.full_like(g, 1 - group["decay"]))
    rate = ((state["move2"] + EPS) / (state["secant2"] + EPS)).sqrt_() - state["product"] / (state["secant2"] + EPS)
    rate.clamp_(min=0)
    if group["adagrad_floor"]:
        state["seen"].add_(g.square())
        rate.div_(state["seen"].sqrt().clamp(min=1))
    move: Tensor = -rate * calm
    certain = state["move"].square() / (state["move2"] + EPS)
    state["memory"].mul_(1 - certain).add_(1).clamp_(LEAST_MEMORY, MOST_MEMORY)
    _average(state, {"move": move, "move2": move.square(), "product": secant * move}, 1 / state["memory"])
    state["last"] = g
    return move


def _variance_reduced(state: dict[str, Any], g: Tensor, most: float) -> Tensor:
    """The gradient drawn towards its mean, the more the less two gradients in a row agree."""
    last, mean = state["last"], state["grad"]
    apart = {"top": ((last - g) * (last - mean)).square(), "bottom": ((last - mean) * (g - mean)).square()}
    _average(state, apart, 1 / state["memory"])
    share = (state["top"].sqrt() / (state["bottom"].sqrt() + EPS)).clamp(max=most)
    calm: Tensor = (g + share * mean) / (1 + share)
    return calm


def _far(value: Tensor, mean: Tensor, square: Tensor) -> Tensor:
    deviation = (square - mean.square()).clamp(min=0).sqrt()
    return (value - mean).abs() > OUTLIER * deviation


def _average(state: dict[str, Any], seen: dict[str, Tensor], fresh: Tensor) -> None:
    """Move each named mean towards what was seen, by the share `fresh` of each weight."""
    for name, value in seen.items():
        state[name].lerp_(value, fresh)
