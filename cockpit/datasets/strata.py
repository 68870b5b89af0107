"""Draws by class: how many of each, and which. Nothing here depends on the version of NumPy."""

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


def keys(count: int, seed: int) -> NDArray[np.uint64]:
    """A random key for each image. The raw stream of PCG64 is fixed for ever; those of NumPy's distributions are not."""
    raw: NDArray[np.uint64] = np.random.PCG64(seed).random_raw(count)
    return raw


def allot(sizes: NDArray[np.float64] | Counts, total: int, low: Counts, high: Counts) -> Counts:
    """Part `total` in proportion to `sizes` by largest remainder, each part within [low, high].

    Needs low.sum() <= total <= high.sum().
    """
    wish = sizes * total / sizes.sum()
    parts: Counts = np.clip(np.floor(wish), low, high).astype(np.int64)
    while (gap := total - int(parts.sum())) != 0:
        step = 1 if gap > 0 else -1
        free = parts < high if gap > 0 else parts > low
        parts[np.argmax(np.where(free, step * (wish - parts), -np.inf))] += step
    return parts


def draw(labels: NDArray[np.int64], quota: Counts, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Mark quota[c] images of each class c: those with the smallest keys."""
    order = np.lexsort((keys, labels))
    ordered = labels[order]
    sizes = np.bincount(labels, minlength=len(quota))
    place = np.arange(len(labels)) - (np.cumsum(sizes) - sizes)[ordered]
    mask = np.zeros(len(labels), dtype=np.bool_)
    mask[order] = place < quota[ordered]
    return mask


def sealed_quota(sizes: Counts, share: float) -> Counts:
    """How many images of each class go to a test set; two of each stay, one to train on and one to validate on."""
    spare = np.maximum(sizes - 2, 0)
    low = np.minimum(spare, 1)
    total = int(np.clip(round(share * int(sizes.sum())), low.sum(), spare.sum()))
    return allot(sizes, total, low, spare)
