"""LARS and LAMB without the trap of their library form, where a weight decay of 0 switches the trust ratio off.

Weights of two and more dimensions are always adapted; biases and norm layers never, and their decay is applied by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import timm.optim
import torch
from torch import Tensor


def divided(groups: list[dict[str, Any]], *, always_adapt: bool) -> list[dict[str, Any]]:
    """Each group in two: weights of two and more dimensions, and vectors."""
    parts = []
    for group in groups:
        matrices = [weight for weight in group["params"] if weight.ndim > 1]
        vectors = [weight for weight in group["params"] if weight.ndim <= 1]
        if matrices:
            parts.append({**group, "params": matrices, "always_adapt": always_adapt, "vectors": False})
        if vectors:
            parts.append({**group, "params": vectors, "always_adapt": False, "vectors": True})
    return parts


@contextmanager
def decayed(groups: list[dict[str, Any]], decay: Callable[[Tensor, dict[str, Any]], None]) -> Iterator[None]:
    """Apply the decay of the vectors, and hide it from the step: the library adapts whatever decays."""
    hidden = [(group, group["weight_decay"]) for group in groups if group["vectors"] and group["weight_decay"]]
    with torch.no_grad():
        for group, _ in hidden:
            for weight in group["params"]:
                if weight.grad is not None:
                    decay(weight, group)
            group["weight_decay"] = 0.0
    try:
        yield
    finally:
        for group, kept in hidden:
            group["weight_decay"] = kept


class Lars(timm.optim.Lars):
    """timm's, over groups from `divided`."""

    def step(self, closure: Any = None) -> Any:
        """Vectors: SGD, the decay added to the gradient."""

        def penalise(weight: Tensor, group: dict[str, Any]) -> None:
            assert weight.grad is not None
            weight.grad.add_(weight, alpha=group["weight_decay"])

        with decayed(self.param_groups, penalise):
            return super().step(closure)


class Lamb(timm.optim.Lamb):
    """timm's, over groups from `divided`."""

    def step(self, closure: Any = None) -> Any:
        """Vectors: AdamW, which is what LAMB is without its ratio."""

        def shrink(weight: Tensor, group: dict[str, Any]) -> None:
            weight.mul_(1 - group["lr"] * group["weight_decay"])

        with decayed(self.param_groups, shrink):
            return super().step(closure)
