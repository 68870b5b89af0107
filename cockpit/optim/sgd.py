"""Stochastic gradient descent in one kernel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cockpit.optim.kernels import kernels


class Sgd(torch.optim.SGD):
    """torch's, in one kernel, which wants a momentum of every weight or of none, and so fails once weights are unfrozen beside
    others that have moved.

    Theirs begins at 0 here. Their first step is that of torch's own loop, but for dampening, which that loop leaves out of it.
    """

    def __init__(self, params: list[dict[str, Any]], **options: Any) -> None:
        super().__init__(params, **options, **kernels(torch.optim.SGD, params))

    def _init_group(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor], momenta: list[Tensor | None]
    ) -> bool:
        sparse = bool(super()._init_group(group, params, grads, momenta))
        if group["fused"] and not all(momentum is None for momentum in momenta):
            momenta[:] = [torch.zeros_like(p) if m is None else m for p, m in zip(params, momenta, strict=True)]
        return sparse
