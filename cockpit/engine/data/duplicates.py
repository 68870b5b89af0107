"""Counts images that stand again, byte for byte: inside the training split, and across the splits."""

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from cockpit.datasets.base import Images
    from cockpit.datasets.listed import Listed
    from cockpit.engine.data.vault import Vault


def digests(pixels: NDArray[np.uint8 | np.float32]) -> list[bytes]:
    """A hash of each image, (N, ...) of one shape."""
    rows = np.ascontiguousarray(pixels)
    return [hashlib.blake2b(row.ravel().data, digest_size=16).digest() for row in rows]


def count_duplicates(train: "Images | Listed", val: "Images | Listed", vault: "Vault") -> dict[str, int]:
    """`train`: training images that repeat an earlier one; `train_val`: validation images that also stand in training;
    `train_test`, `val_test`: test images that also stand in training, in validation."""
    train_hashes, val_hashes = digests(train.pixels), digests(val.pixels)
    known = set(train_hashes)
    return {
        "train": len(train_hashes) - len(known),
        "train_val": sum(each in known for each in val_hashes),
        "train_test": vault.overlap(known),
        "val_test": vault.overlap(set(val_hashes)),
    }
