"""Images made up on the spot: a smooth pattern for each class, plus noise."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cockpit.datasets.base import DataError, Dataset, Images, Sealed
from cockpit.datasets.strata import allot

GRID = 4
"""A pattern is drawn on a grid this wide and enlarged, so that neighbouring pixels agree as in photographs."""
CONTRAST = 0.2
CHUNK = 4_000_000
"""Pixels made at once, so that a large set never stands in memory as floats."""


@dataclass(frozen=True)
class Making:
    """What to make."""

    classes: int
    size: int
    channels: int
    train: int
    test: int
    noise: float
    label_noise: float
    imbalance: float
    seed: int


def read(making: Making) -> Dataset:
    """The training set as asked; the test set is balanced and its labels are right. Raises DataError."""
    if making.train < making.classes:
        raise DataError(
            f"data.train: {making.train} images cannot hold {making.classes} classes; take at least {making.classes}"
        )
    names = tuple(f"class {each}" for each in range(making.classes))
    sealed = Sealed(making.test, lambda: _test(making))
    return Dataset("synthetic", names, 1 / 255, _train(making), sealed)


def _train(making: Making) -> Images:
    draws = _draws(making, "train")
    places = np.arange(making.classes) / (making.classes - 1)
    ones = np.ones(making.classes, np.int64)
    counts = allot(making.imbalance**-places, making.train, ones, ones * making.train)
    labels = draws.permutation(np.repeat(np.arange(making.classes), counts))
    pixels = _pixels(making, labels, draws)
    wrong = draws.random(making.train) < making.label_noise
    shift = draws.integers(1, making.classes, making.train)
    return Images(pixels, np.where(wrong, (labels + shift) % making.classes, labels))


def _test(making: Making) -> Images:
    labels = np.arange(making.test, dtype=np.int64) % making.classes
    return Images(_pixels(making, labels, _draws(making, "test")), labels)


def _draws(making: Making, part: str) -> np.random.Generator:
    """Streams of their own, so that the size of one part never changes another."""
    return np.random.Generator(np.random.PCG64([making.seed, ("patterns", "train", "test").index(part)]))


def _patterns(making: Making) -> NDArray[np.float32]:
    """(classes, channels, size, size), around 0."""
    grid = min(GRID, making.size)
    coarse = _draws(making, "patterns").standard_normal((making.classes, making.channels, grid, grid))
    at = np.linspace(0, grid - 1, making.size)
    enlarge = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(grid)))
    patterns: NDArray[np.float32] = (enlarge @ coarse @ enlarge.T).astype(np.float32)
    return patterns


def _pixels(making: Making, labels: NDArray[np.int64], draws: np.random.Generator) -> NDArray[np.uint8]:
    patterns = 0.5 + CONTRAST * _patterns(making)
    pixels = np.empty((len(labels), *patterns.shape[1:]), np.uint8)
    chunk = max(1, CHUNK // math.prod(patterns.shape[1:]))
    for start in range(0, len(labels), chunk):
        clean = patterns[labels[start : start + chunk]]
        noisy = clean + np.float32(making.noise) * draws.standard_normal(clean.shape, dtype=np.float32)
        pixels[start : start + chunk] = (noisy.clip(0, 1) * 255).round()
    return pixels
