"""Memory that several processes share: images lie in it from when they are decoded until they are on the device."""

import mmap
import os
import tempfile

import numpy as np
from numpy.typing import DTypeLike, NDArray

CHUNK = 16
"""Files in a slot: the work that is given out at once."""
ROOM = 512 << 20
"""Bytes of all slots together; memory that is never written to is never taken."""
MOST = 2048


def shared(size: int) -> int:
    """A file descriptor of so many bytes that lie in memory and are gone with the last process that knows them."""
    if hasattr(os, "memfd_create"):  # not /dev/shm: containers make it small, and writing beyond its end kills the writer
        file = os.memfd_create("cockpit-images")
    else:
        with tempfile.TemporaryFile() as made:
            file = os.dup(made.fileno())
    os.ftruncate(file, size)
    return file


def mapped(file: int, shape: tuple[int, ...], dtype: DTypeLike = np.uint8) -> NDArray[np.uint8 | np.float32]:
    """The memory behind a descriptor as (slots, chunk, C, H, W)."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(mmap.mmap(file, size), dtype).reshape(shape)


class Slots:
    """Room for so many chunks of images of one shape (C, H, W), and which of it is free."""

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike = np.uint8, chunk: int = CHUNK) -> None:
        size = chunk * int(np.prod(shape)) * np.dtype(dtype).itemsize
        count = max(64, min(MOST, ROOM // size))
        self.file = shared(count * size)
        self.images = mapped(self.file, (count, chunk, *shape), dtype)
        """(slots, chunk, C, H, W)"""
        self.pinned = False
        """Whether a GPU may copy from it by itself."""
        self.free = list(range(count))
        """The last that became free is taken first: it lies in the cache, and what is never needed stays untouched."""

    @property
    def chunk(self) -> int:
        """Images in a slot."""
        return int(self.images.shape[1])

    def __len__(self) -> int:
        return len(self.images)

    def __del__(self) -> None:
        os.close(self.file)
