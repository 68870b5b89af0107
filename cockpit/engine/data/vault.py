"""The sealed test set. Choosing anything by its score makes it a second training set."""

from functools import cached_property

from cockpit.datasets.base import DataError, Images, Sealed
from cockpit.datasets.listed import Listed
from cockpit.engine.data.duplicates import digests


class Vault:
    """Holds the test set shut: the loop, the flags and the screen learn from it numbers of images and nothing else."""

    def __init__(self, sealed: Sealed, shape: tuple[int, ...], classes: int) -> None:
        self._sealed = sealed
        self._shape = shape
        self._classes = classes

    @property
    def count(self) -> int:
        """Test images, without those that proved unreadable."""
        return len(self._hashes) if "_hashes" in vars(self) else self._sealed.count

    def overlap(self, hashes: set[bytes]) -> int:
        """How many test images are among these hashes. Reads the images, keeps their hashes, returns a number."""
        return sum(each in hashes for each in self._hashes)

    def open_for_look(self) -> Images | Listed:
        """The test images. Only the test command may call this, after it has written the look into the run's ledger.

        Raises DataError where they do not fit the training images.
        """
        images = self._sealed.open()
        if images.shape != self._shape:
            raise DataError(f"the test images are {_size(images.shape)}, the training images {_size(self._shape)}")
        top = self._classes - 1
        if len(images) and not 0 <= images.labels.min() <= images.labels.max() <= top:
            raise DataError(f"test labels run from {images.labels.min()} to {images.labels.max()}, classes from 0 to {top}")
        return images

    @cached_property
    def _hashes(self) -> list[bytes]:
        return digests(self.open_for_look().pixels)


def _size(shape: tuple[int, ...]) -> str:
    channels, height, width = shape
    return f"{width}x{height} with {channels} channel{'s' if channels > 1 else ''}"
