"""Which of torch's kernels make an optimizer's step."""

from __future__ import annotations

from typing import Any

import torch

FUSED: dict[str, tuple[type[torch.optim.Optimizer], ...]] = {
    "cpu": (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.Adagrad),
    "cuda": (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW),
    "mps": (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW),
}
"""The optimizers of torch that have one kernel for the whole step, by device."""


def kernels(cls: type[torch.optim.Optimizer], groups: list[dict[str, Any]]) -> dict[str, Any]:
    """The keyword argument that gives an optimizer of torch its quickest step for these groups; none where torch knows best.

    Left alone, torch takes a loop over the weights on the CPU and one kernel for each operation elsewhere.
    """
    weights = [weight for group in groups for weight in group["params"]]
    fits = all(weight.is_floating_point() and cls in FUSED.get(weight.device.type, ()) for weight in weights)
    return {"fused": True} if fits else {}
