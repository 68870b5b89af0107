"""The same forward and backward pass once more, for optimizers and tricks that look at a batch twice."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


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
