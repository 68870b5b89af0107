"""The quickest way to make an optimizer's step: one kernel where torch has it, and without a note for the profiler."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.optim import optimizer as module

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


def bare_step(optimizer: torch.optim.Optimizer) -> Callable[[], object]:
    """`optimizer.step`, without what torch wraps around it: the profiler's note and empty lists of hooks, a tenth of the step
    of a tiny network. As it is where somebody hung a hook on it or put another in its place.
    """
    step = type(optimizer).step
    inner = getattr(step, "__wrapped__", None)
    hooks = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")
    everywhere = ("_global_optimizer_pre_hooks", "_global_optimizer_post_hooks")
    hung = any(getattr(optimizer, name, True) for name in hooks) or any(getattr(module, name, True) for name in everywhere)
    if inner is None or not getattr(step, "hooked", False) or hung or "step" in vars(optimizer):
        return optimizer.step
    return partial(inner, optimizer)
