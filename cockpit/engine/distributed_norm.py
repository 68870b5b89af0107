"""Batch norm over the images of all processes, so that it sees the batch that one process would see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cockpit.engine.distributed import peers, world
from cockpit.nets.statistics import batch_norms

_together = False


@contextmanager
def together(on: bool) -> Iterator[None]:
    """For the time of a pass that all processes make, each with its own part of one batch."""
    global _together
    before, _together = _together, on
    try:
        yield
    finally:
        _together = before


class Synced(nn.SyncBatchNorm):
    """Batch norm that asks the others where a batch is shared, and is the plain one everywhere else.

    On CUDA it is torch's; torch has none for the CPU.
    """

    process_group = None

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, ...) -> the same shape."""
        if not (_together and self.training):
            return nn.modules.batchnorm._BatchNorm.forward(self, input)
        if input.is_cuda:
            self.process_group = world().data
            try:
                return super().forward(input)
            finally:
                del self.process_group  # copies of the network could not be made with it
        return self._by_hand(input)

    def _by_hand(self, x: Tensor) -> Tensor:
        dims = [0, *range(2, x.ndim)]
        shape = (1, -1, *(1,) * (x.ndim - 2))
        count = float(_total(torch.tensor(float(x.numel() // x.shape[1]))))
        mean = _total(x.float().sum(dims)) / count
        centred = x - mean.view(shape)
        var = _total(centred.float().square().sum(dims)) / count
        self._follow(mean.detach(), var.detach() * count / (count - 1))
        y = centred * torch.rsqrt(var + self.eps).view(shape)
        return y if self.weight is None else y * self.weight.view(shape) + self.bias.view(shape)

    @torch.no_grad()
    def _follow(self, mean: Tensor, var: Tensor) -> None:
        if not self.track_running_stats or self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(var, share)


class _Total(torch.autograd.Function):
    """The sum over the processes; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        with peers():
            dist.all_reduce(total, group=world().data)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _total(grad.contiguous())


def _total(value: Tensor) -> Tensor:
    total: Tensor = _Total.apply(value)
    return total


PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def sync_norms(model: nn.Module) -> None:
    """Make every plain batch norm of a network a synced one, in place: hooks, names and references to it stay.

    One that is part of another norm is called for parts of a slice, by some processes only, and stays what it is.
    """
    if world().size == 1:
        return
    parts = {part for norm in batch_norms(model) for part in norm.modules() if part is not norm}
    for module in model.modules():
        if type(module) in PLAIN and module not in parts:
            module.__class__ = Synced
