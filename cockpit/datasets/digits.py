"""The digits that come with scikit-learn."""

import numpy as np

from cockpit.datasets.base import Dataset, Images, Sealed
from cockpit.datasets.strata import draw, keys, sealed_quota

TEST_SHARE = 0.2


def read() -> Dataset:
    """1,797 grey images of 8x8 pixels from 0 to 16; a fifth of each class, always the same, is the sealed test set."""
    images = _all()
    test = draw(images.labels, sealed_quota(np.bincount(images.labels), TEST_SHARE), keys(len(images), seed=0))

    def part(mask: "np.typing.NDArray[np.bool_]") -> Images:
        every = _all()
        return Images(every.pixels[mask], every.labels[mask])

    return Dataset("digits", tuple("0123456789"), 1 / 16, part(~test), Sealed(int(test.sum()), lambda: part(test)))


def _all() -> Images:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return Images(bunch.images[:, None].astype(np.uint8), bunch.target.astype(np.int64))
