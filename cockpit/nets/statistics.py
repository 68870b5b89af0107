"""Batch norm statistics taken anew, for weights that no batch has passed through (Izmailov et al. 2018, arXiv 1803.05407)."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@torch.no_grad()
def refresh_batch_norm(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the running statistics of every batch norm to the mean over some batches of clean training images.

    `batches`: standardised (B, C, H, W); each counts as many times as it has images, and one of a single image not at all.
    The network is left in evaluation mode; one without batch norm is left alone.
    """
    norms = batch_norms(model)
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
    seen = 0
    try:
        for x in batches if norms else ():
            if len(x) == 1:
                continue  # a single image has no variance
            seen += len(x)
            for norm in norms:
                norm.momentum = len(x) / seen
            model(x)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()


def batch_norms(model: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
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
