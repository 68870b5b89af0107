"""Freed memory stays with the process."""

import ctypes
import platform
from contextlib import suppress

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
"""Parameters of mallopt(3)."""


def keep_freed_memory() -> None:
    """Call before torch is imported; nothing happens where the C library is not glibc.

    glibc gives large arrays back to the system when they are freed and asks for them anew, page by page, in the next step:
    thousands of page faults in each step of a convolutional network (benchmarks/results/loop.md).
    """
    if platform.libc_ver()[0] != "glibc":
        return
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(MMAP_THRESHOLD, 1 << 30)
        library.mallopt(TRIM_THRESHOLD, 2**31 - 1)
        library.mallopt(TOP_PAD, 1 << 26)
