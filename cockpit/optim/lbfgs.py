"""L-BFGS with weight decay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class Lbfgs(torch.optim.LBFGS):
    """torch's, on the loss plus weight_decay / 2 times the squared norm of the weights. One group."""

    def __init__(self, groups: list[dict[str, Any]], *, weight_decay: float, **options: Any) -> None:
        super().__init__(groups, **options)
        self.param_groups[0].setdefault("weight_decay", weight_decay)

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """`closure` leaves the gradients in the weights and returns the loss."""
        (group,) = self.param_groups

        def penalised() -> float:
            loss, decay = float(closure().detach()), group["weight_decay"]
            if decay:
                with torch.no_grad():
                    for weight in group["params"]:
                        if weight.grad is not None:
                            weight.grad.add_(weight, alpha=decay)
                            loss += decay / 2 * float(weight.square().sum())
            return loss

        return super().step(penalised)
