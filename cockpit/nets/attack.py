"""Moving images up the loss of a network (Goodfellow et al. 2015, arXiv 1412.6572; Madry et al. 2018, arXiv 1706.06083)."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from cockpit.nets.statistics import batch_norms, frozen_statistics

if TYPE_CHECKING:
    from cockpit.travel import Forward, Task


def reaches_images(model: nn.Module, task: Task) -> bool:
    """Whether the logits have a gradient by the image; a step function on every way through a network leaves none."""
    twin = copy.deepcopy(model).eval()
    image = torch.zeros(1, task.channels, task.height, task.width, device=next(twin.parameters()).device, requires_grad=True)
    with torch.enable_grad(), torch.random.fork_rng(devices=[]):
        logits = twin(image)
        return logits.requires_grad and torch.autograd.grad(logits.sum(), image, allow_unused=True)[0] is not None


def attack(forward: Forward, x: Tensor, y: Tensor, epsilon: float, step: float, steps: int, start: Tensor | None) -> Tensor:
    """Move images up the loss: x (B, C, H, W) in [0, 1], y int64 (B,). `forward`: pixels to logits.

    Each step goes by `step` along the sign of the gradient and back into the box of `epsilon` around x and into [0, 1].
    `start`: where in the box to begin, the centre where it is None. The weights' gradients are left alone.
    """
    low, high = (x - epsilon).clamp(min=0), (x + epsilon).clamp(max=1)
    there = x.detach() if start is None else torch.clamp(x + start, low, high)
    for _ in range(steps):
        there = there.detach().requires_grad_()
        with torch.enable_grad():
            loss = functional.cross_entropy(forward(there), y, reduction="sum")
            (slope,) = torch.autograd.grad(loss, there)
        there = torch.clamp(there.detach() + step * slope.sign(), low, high)
    return there


@contextmanager
def still(model: nn.Module, *, batch_statistics: bool = False) -> Iterator[None]:
    """The network in evaluation mode, with batch norm on each batch's own statistics if asked; afterwards as it was."""
    modes = [(module, module.training) for module in model.modules()]
    norms = [norm for norm in batch_norms(model) if norm.training]
    model.eval()
    if batch_statistics:
        for norm in norms:
            norm.train()
    try:
        with frozen_statistics(model):
            yield
    finally:
        for module, training in modes:
            module.training = training
