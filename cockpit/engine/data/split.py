"""Takes the validation set from the training set, by class (stratified)."""

import numpy as np
from numpy.typing import NDArray

from cockpit.datasets.base import DataError
from cockpit.datasets.strata import Counts, allot, draw, keys
from cockpit.datasets.words import listed

Mask = NDArray[np.bool_]


def class_sizes(labels: NDArray[np.int64], classes: tuple[str, ...]) -> Counts:
    """Training images of each class. Raises DataError where a class has none."""
    sizes = np.bincount(labels, minlength=len(classes))
    empty = [name for name, size in zip(classes, sizes, strict=True) if not size]
    if empty:
        raise DataError(f"no training images of {listed(empty)}")
    return sizes


def cut(labels: NDArray[np.int64], classes: tuple[str, ...], val: float, seed: int) -> Mask:
    """Mark the validation images: a share `val` below 1, else a count; shares of the classes kept to the nearest image.

    Depends on the labels and the seed alone. Each class keeps a training image and gets a validation image; one with a
    single image keeps it. Raises DataError where that cannot be.
    """
    sizes = class_sizes(labels, classes)
    spare = sizes - 1
    low = np.minimum(spare, 1)
    total = _total(val, len(labels), int(low.sum()), int(spare.sum()))
    return draw(labels, allot(sizes, total, low, spare), keys(len(labels), seed))


def _total(val: float, images: int, least: int, most: int) -> int:
    if val <= 0:
        raise DataError("data.val: 0 leaves nothing to validate on; take a share such as 0.1")
    if val >= 1 and val != int(val):
        raise DataError(f"data.val: {val:g} is neither a share below 1 nor a whole number of images")
    total = max(round(val * images), least) if val < 1 else int(val)
    if total > most:
        raise DataError(
            f"data.val: {min(total, 10**12):,} of {images:,} training images would leave a class without any; "
            f"at most {most:,} can go"
        )
    if total < least or not total:
        raise DataError(f"data.val: {total:,} images cannot show every class; take at least {max(least, 1):,}")
    return total


def limited(labels: NDArray[np.int64], classes: tuple[str, ...], limit: int, seed: int) -> Mask:
    """Mark at most `limit` images, by class. Raises DataError where it is less than one a class."""
    sizes = class_sizes(labels, classes)
    if limit < len(classes):
        raise DataError(f"data.limit: {limit} images cannot show all {len(classes)} classes; take at least {len(classes)}")
    quota = allot(sizes, min(limit, len(labels)), np.ones_like(sizes), sizes)
    return draw(labels, quota, keys(len(labels), seed))
