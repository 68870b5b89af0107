"""Schedule-free SGD and AdamW. Defazio et al. 2024, arXiv 2405.15682.

Three points: z steps, x averages z, and the gradient is taken at y between them. The weights hold y while training and x
while they are scored or kept; z is in the state, and so is y as long as the weights are at x.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

MOMENTUM, MEMORY, EPS = 0.9, 0.999, 1e-8
"""beta1, where y stands between z and x; beta2 and epsilon of the AdamW form."""


class ScheduleFree(Optimizer):
    """`train()` and `eval()` move the weights between y and x; whoever loads a state goes on at y."""

    def __init__(
        self,
        groups: list[dict[str, Any]],
        *,
        lr: float,
        base: Literal["adamw", "sgd"],
        warmup_steps: int,
        weight_decay: float,
    ) -> None:
        knobs = {"lr": lr, "base": base, "warmup_steps": warmup_steps, "weight_decay": weight_decay}
        super().__init__(groups, knobs)
        for group in self.param_groups:
            group.update(done=0, weights=0.0, training=True)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step of z, x and y."""
        for group in self.param_groups:
            group["done"] += 1
            rate = group["lr"] * min(1.0, group["done"] / max(1, group["warmup_steps"]))
            group["weights"] += rate**2
            share = rate**2 / group["weights"] if group["weights"] else 0.0
            for y in group["params"]:
                if y.grad is not None:
                    self._step(y, group, rate, share)

    def _step(self, y: Tensor, group: dict[str, Any], rate: float, share: float) -> None:
        assert y.grad is not None
        state = self.state[y]
        z = state.setdefault("z", y.clone())
        x = torch.lerp(y, z, 1 - 1 / MOMENTUM)
        direction = y.grad
        if group["base"] == "adamw":
            square = state.setdefault("square", torch.zeros_like(y))
            square.mul_(MEMORY).addcmul_(y.grad, y.grad, value=1 - MEMORY)
            direction = y.grad / ((square / (1 - MEMORY ** group["done"])).sqrt_().add_(EPS))
        z.sub_(direction.add(y, alpha=group["weight_decay"]), alpha=rate)
        x.lerp_(z, share)
        y.copy_(torch.lerp(x, z, 1 - MOMENTUM))

    @torch.no_grad()
    def train(self) -> None:
        """Weights at x back to y, to the bit; nothing where they are at y."""
        for weight in self._leaving(training=False):
            weight.copy_(self.state[weight].pop("y"))

    @torch.no_grad()
    def eval(self) -> None:
        """Weights at y to x; nothing where they are at x."""
        for weight in self._leaving(training=True):
            self.state[weight]["y"] = weight.clone()
            weight.lerp_(self.state[weight]["z"], 1 - 1 / MOMENTUM)

    def _leaving(self, *, training: bool) -> list[Tensor]:
        """The weights that have moved and stand at y, or at x, which they are about to leave."""
        groups = [group for group in self.param_groups if group["training"] is training]
        for group in groups:
            group["training"] = not training
        return [weight for group in groups for weight in group["params"] if "z" in self.state[weight]]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """A state that was saved at x finds the weights at x, and leaves them at y, where training goes on."""
        super().load_state_dict(state_dict)
        self.train()
