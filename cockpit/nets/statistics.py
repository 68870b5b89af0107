"""Batch norm statistics taken anew, for weights that no batch has passed through (Izmailov et al. 2018, arXiv 1803.05407)."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@torch.no_grad()
def refresh_batch_norm(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the running statistics of every batch norm to the plain mean over some batches of clean training images.

    `batches`: standardised (B, C, H, W). The network is left in evaluation mode; one without batch norm is left alone.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
        norm.train()
    try:
        for x in batches if norms else ():
            model(x)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()


def batch_norms(model: nn.Module) -> list[nn.Module]:
    """Every batch norm of a network."""
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Batch norm goes on to use each batch's statistics, and the running ones stay as they are."""
    kept = [(norm, name, value) for norm in batch_norms(model) for name, value in norm.named_buffers(recurse=False)]
    for norm, name, value in kept:
        setattr(norm, name, value.clone())
    try:
        yield
    finally:
        for norm, name, value in kept:
            setattr(norm, name, value)
