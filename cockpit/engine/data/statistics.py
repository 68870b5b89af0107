"""Mean and standard deviation of the training pixels: exact, or of a sample where they stay in their files."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CHUNK = 1 << 20
"""Pixels counted at once; the counting makes eight bytes of each."""
FLAT = 1e-6
"""A channel of floats that spreads by less than this share of its size is constant: float32 knows no finer."""


class Statistics(NamedTuple):
    """Per channel, in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    """1 for a channel that is constant, so that it is only centred."""
    constant: tuple[int, ...]
    """Channels whose standard deviation is below one level of the bytes, or next to nothing among floats."""


def statistics(pixels: NDArray[np.uint8 | np.float32], scale: float) -> Statistics:
    """pixels: (N, C, H, W), to be multiplied by `scale`. Of bytes, from whole-number counts of the 256 levels."""
    if pixels.dtype == np.uint8:
        return of_bytes([pixels], pixels.shape[1], scale)
    return _scaled([_of_floats(pixels[:, channel]) for channel in range(pixels.shape[1])], scale)


def of_bytes(parts: Iterable[NDArray[np.uint8 | np.float32]], channels: int, scale: float) -> Statistics:
    """The same of images that come in parts: each uint8 (n, channels, H, W)."""
    counts = np.zeros((channels, 256), np.int64)
    for pixels in parts:
        counts += np.stack([_levels(pixels[:, channel]) for channel in range(channels)])
    return _scaled([(*_moments(levels), 1.0) for levels in counts], scale)


def _scaled(measured: list[tuple[float, float, float]], scale: float) -> Statistics:
    return Statistics(
        mean=tuple(mean * scale for mean, _, _ in measured),
        std=tuple(std * scale if std >= least else 1.0 for _, std, least in measured),
        constant=tuple(channel for channel, (_, std, least) in enumerate(measured) if std < least),
    )


def _of_floats(plane: NDArray[np.uint8 | np.float32]) -> tuple[float, float, float]:
    """(mean, standard deviation, the least deviation that is one) of the finite values."""
    known = plane[np.isfinite(plane)]
    if not known.size:
        return 0.0, 0.0, 1.0
    size = float(np.abs(known).max())
    return float(known.mean(dtype=np.float64)), float(known.std(dtype=np.float64)), FLAT * size or 1.0


def _levels(plane: NDArray[np.uint8 | np.float32]) -> NDArray[np.int64]:
    """How often each level occurs in (N, H, W)."""
    images = max(1, CHUNK // int(np.prod(plane.shape[1:])))
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
