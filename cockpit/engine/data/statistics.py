"""Mean and standard deviation of the training pixels, exact."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CHUNK = 1 << 20
"""Pixels counted at once; the counting makes eight bytes of each."""


class Statistics(NamedTuple):
    """Per channel, in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    """1 for a channel that is constant, so that it is only centred."""
    constant: tuple[int, ...]
    """Channels whose standard deviation is below one level of the pixels."""


def statistics(pixels: NDArray[np.uint8], scale: float) -> Statistics:
    """pixels: (N, C, H, W); a pixel times `scale` lies in [0, 1]. From whole-number counts of the 256 levels."""
    mean, std = zip(*(_moments(_levels(pixels[:, channel])) for channel in range(pixels.shape[1])), strict=True)
    return Statistics(
        mean=tuple(value * scale for value in mean),
        std=tuple(value * scale if value >= 1 else 1.0 for value in std),
        constant=tuple(channel for channel, value in enumerate(std) if value < 1),
    )


def _levels(plane: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each level occurs in (N, H, W)."""
    images = max(1, CHUNK // plane[0].size)
    counts = np.zeros(256, np.int64)
    for start in range(0, len(plane), images):
        counts += np.bincount(plane[start : start + images].ravel(), minlength=256)
    return counts


def _moments(counts: NDArray[np.int64]) -> tuple[float, float]:
    """Python's integers never overflow and never round."""
    number = int(counts.sum())
    total = sum(level * int(count) for level, count in enumerate(counts))
    squares = sum(level * level * int(count) for level, count in enumerate(counts))
    return total / number, float((number * squares - total * total) ** 0.5 / number)
