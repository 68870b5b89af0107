"""The same forward and backward pass once more, for optimizers and tricks that look at a batch twice."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Mark:
    """Where torch's generators stood at the start of a forward pass, so that dropout can be drawn again as it was."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cpu = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    @contextmanager
    def rewound(self) -> Iterator[None]:
        """Draw from the mark on; afterwards the generators stand where they stood before."""
        now = Mark(self._device)
        self._go()
        try:
            yield
        finally:
            now._go()

    def _go(self) -> None:
        torch.set_rng_state(self._cpu)
        if self._cuda is not None:
            torch.cuda.set_rng_state(self._cuda, self._device)


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Batch norm goes on to use each batch's statistics, and the running ones stay as they are."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    kept: list[tuple[nn.Module, dict[str, Tensor]]] = [(norm, dict(norm.named_buffers(recurse=False))) for norm in norms]
    for norm, buffers in kept:
        for name, value in buffers.items():
            setattr(norm, name, value.clone())
    try:
        yield
    finally:
        for norm, buffers in kept:
            for name, value in buffers.items():
                setattr(norm, name, value)
