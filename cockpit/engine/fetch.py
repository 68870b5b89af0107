"""Bringing numbers from the device to the host without making the device wait."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Fetch:
    """A copy to the host that may still be under way."""

    host: Tensor
    done: torch.cuda.Event | None

    @classmethod
    def start(cls, source: Tensor) -> "Fetch":
        """Begin the copy. On CUDA it goes to pinned memory and returns at once."""
        if source.device.type != "cuda":
            return cls(source.cpu(), None)
        host = torch.empty(source.shape, dtype=source.dtype, pin_memory=True)
        host.copy_(source, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        return cls(host, event)

    @property
    def ready(self) -> bool:
        """Whether the numbers have arrived."""
        return self.done is None or self.done.query()

    def numpy(self) -> NDArray[np.float32]:
        """The numbers; waits if they are not there yet."""
        if self.done is not None:
            self.done.synchronize()
        array: NDArray[np.float32] = self.host.numpy()
        return array
