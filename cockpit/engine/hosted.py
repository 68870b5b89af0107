"""Images in this machine's memory that do not fit on the device: a thread gathers those of the coming batches."""

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from cockpit.datasets.slots import Slots

CHUNK = 128
"""Images gathered at once."""


class Hosted:
    """Pixels (N, C, H, W) of one split."""

    def __init__(self, pixels: NDArray[np.uint8 | np.float32]) -> None:
        self._pixels = torch.from_numpy(np.ascontiguousarray(pixels))
        self.shape: tuple[int, ...] = pixels.shape[1:]
        self.slots = Slots(self.shape, pixels.dtype, CHUNK)
        self.news: list[str] = []
        self.words = f"from this machine's memory, {pixels.nbytes / 1e6:,.0f} MB"
        self.busy = 1
        self._thread = ThreadPoolExecutor(1, "gather")
        self._asked: dict[int, Future[None]] = {}

    def begin(self, slot: int, places: NDArray[np.int64]) -> None:
        """Have at most a slot's fill of images copied into it."""
        self._asked[slot] = self._thread.submit(self._gather, slot, torch.from_numpy(places))

    def _gather(self, slot: int, places: torch.Tensor) -> None:
        torch.index_select(self._pixels, 0, places, out=torch.from_numpy(self.slots.images[slot, : len(places)]))

    def finish(self, slot: int) -> None:
        """Wait for them."""
        self._asked.pop(slot).result()

    def drop(self, slot: int) -> None:
        """Nobody wants them any more; the slot becomes free."""
        asked = self._asked.pop(slot)
        if not asked.cancel():
            asked.result()
        self.slots.free.append(slot)

    def ready(self) -> None:
        """The thread goes on by itself."""
