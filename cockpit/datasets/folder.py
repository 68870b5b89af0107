"""A folder of images, one sub-folder a class, with or without train, val and test above the classes."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cockpit.datasets.base import DataError, Dataset, Images, Places, Sealed
from cockpit.datasets.layout import Files, resolve, survey
from cockpit.datasets.pictures import Broken, Picture, decode, stack
from cockpit.datasets.strata import draw, sealed_quota
from cockpit.datasets.words import listed, printable

BROKEN_SHARE = 0.1
BROKEN_FEW = 3
"""A set with more broken files than both the share and the few is refused."""


def read(path: str, size: int, channels: int | None, test: float, places: Places) -> Dataset:
    """Decode the training images to size x size. `channels` None: 1 if every training image is grey, else 3.

    Without a test parent, a share `test` of each class is sealed. Raises DataError.
    """
    folder = resolve(path, places.root)
    try:
        layout = survey(folder)
    except OSError as error:
        raise DataError(f"{printable(error.filename or folder)} cannot be read: {error.strerror}") from error
    splits = layout.splits
    if "test" not in splits:
        sealed = _seal(splits["train"], folder, test)
        splits["test"], splits["train"] = splits["train"].where(sealed), splits["train"].where(~sealed)
    notes = []
    if layout.strangers:
        count = len(layout.strangers)
        which = "1 entry that is no image is" if count == 1 else f"{count} entries that are no images are"
        notes.append(f"{which} ignored: {listed(_under(folder, layout.strangers))}")
    pictures, labels = _pictures(splits["train"], folder, size, places, notes)
    channels = channels or max(3 if picture.ndim == 3 else 1 for picture in pictures)

    def images(split: str) -> Images:
        chosen, classes = _pictures(splits[split], folder, size, places, [])
        return Images(stack(chosen, channels), classes)

    return Dataset(
        name=printable(folder.name),
        classes=layout.classes,
        scale=1 / 255,
        train=Images(stack(pictures, channels), labels),
        sealed=Sealed(len(splits["test"]), lambda: images("test")),
        val=images("val") if "val" in splits else None,
        notes=tuple(notes),
    )


def _seal(files: Files, folder: Path, share: float) -> NDArray[np.bool_]:
    """By the hash of the name, so that a sealed image stays sealed when files are added."""
    keys = [hashlib.md5(name.encode("utf-8", "surrogateescape")).digest()[:8] for name in _under(folder, files.paths)]
    return draw(files.labels, sealed_quota(np.bincount(files.labels), share), np.frombuffer(b"".join(keys), np.uint64))


def _pictures(
    files: Files, folder: Path, size: int, places: Places, notes: list[str]
) -> tuple[list[Picture], NDArray[np.int64]]:
    """The files that can be decoded, with their labels; what cannot is noted. Raises DataError where that is too much."""
    decoded = decode(files.paths, size, places.say)
    broken = [each for each in decoded if isinstance(each, Broken)]
    if broken:
        reasons = listed(
            f"{name} ({each.why})" for name, each in zip(_under(folder, (b.path for b in broken)), broken, strict=True)
        )
        if len(broken) > max(BROKEN_FEW, BROKEN_SHARE * len(files)) or len(broken) == len(files):
            raise DataError(f"{len(broken)} of {len(files)} images in {printable(folder)} cannot be read: {reasons}")
        notes.append(f"{len(broken)} of {len(files)} images cannot be read and are left out: {reasons}")
    good = np.array([not isinstance(each, Broken) for each in decoded], dtype=np.bool_)
    return [each for each in decoded if not isinstance(each, Broken)], files.labels[good]


def _under(folder: Path, paths: Iterable[Path]) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]
