"""Prodigy: Adam that estimates its own step size. Mishchenko & Defazio 2023, arXiv 2306.06101, algorithm 4."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
BETA3 = BETA2**0.5
FIRST = 1e-6
"""The first estimate of the distance between the start and the solution; it only grows."""


class Prodigy(Optimizer):
    """All groups share one estimate d, which is kept with the state of the first weight."""

    def __init__(self, groups: list[dict[str, Any]], *, lr: float, weight_decay: float) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every weight that has a gradient, without waiting for the device."""
        held = [(weight, group) for group in self.param_groups for weight in group["params"] if weight.grad is not None]
        if not held:
            return
        whole = self.state[self.param_groups[0]["params"][0]]
        if "d" not in whole:
            whole["d"], whole["r"] = held[0][0].new_tensor(FIRST), held[0][0].new_zeros(())
        d: Tensor = whole["d"]
        gained = torch.stack([self._look(weight, weight.grad, group["lr"], d) for weight, group in held]).sum()
        whole["r"].mul_(BETA3).add_((1 - BETA3) * d.square() * gained)
        size = torch.stack([self.state[weight]["s"].abs().sum() for weight, _ in held]).sum()
        for weight, group in held:
            state = self.state[weight]
            step = state["m"] / (state["v"].sqrt() + d * EPS)
            weight.sub_(step.add_(weight, alpha=group["weight_decay"]).mul_(d), alpha=group["lr"])
        estimate = torch.where(size > 0, whole["r"] / size, d)
        whole["d"] = torch.maximum(d, estimate)

    def _look(self, weight: Tensor, grad: Tensor, lr: float, d: Tensor) -> Tensor:
        """Take a gradient into the means; its part of the inner product that makes r grow."""
        state = self.state[weight]
        if "start" not in state:
            state["start"] = weight.clone()
            state.update({name: torch.zeros_like(weight) for name in ("m", "v", "s")})
        state["m"].mul_(BETA1).add_((1 - BETA1) * d * grad)
        state["v"].mul_(BETA2).add_((1 - BETA2) * (d * grad).square())
        state["s"].mul_(BETA3).add_((1 - BETA3) * lr * d.square() * grad)
        gained: Tensor = lr * (grad * (state["start"] - weight)).sum()
        return gained
