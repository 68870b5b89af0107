"""A folder of images, one sub-folder a class, with or without train, val and test above the classes."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cockpit.datasets import means
from cockpit.datasets.base import DataError, Dataset, Images, Places, Sealed
from cockpit.datasets.decoders import Decoders
from cockpit.datasets.layout import Files, Layout, resolve, survey
from cockpit.datasets.listed import Listed
from cockpit.datasets.pictures import Broken, Picture, all_grey, decode, stack
from cockpit.datasets.strata import draw, keys, sealed_quota
from cockpit.datasets.words import listed, printable

BROKEN_SHARE = 0.1
BROKEN_FEW = 3
"""A set with more broken files than both the share and the few is refused."""
HEADS = 4096
"""Files whose heads are read to learn whether all are grey, where they are not decoded at once."""


def read(path: str, size: int, channels: int | None, test: float, places: Places) -> Dataset:
    """The training images, size x size. `channels` None: 1 if every training image is grey, else 3.

    They are decoded at once, or stay in their files until they are wanted: see `Places.files`. Without a test parent, a share
    `test` of each class is sealed. Raises DataError.
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
    wanted = sum(len(splits[split]) for split in ("train", "val") if split in splits) * (channels or 3) * size**2
    if places.files or (places.files is None and wanted > means.memory_for_images()):
        return _left_in_files(folder, layout, size, channels, notes)
    return _decoded(folder, layout, size, channels, places, notes)


def _decoded(folder: Path, layout: Layout, size: int, channels: int | None, places: Places, notes: list[str]) -> Dataset:
    splits = layout.splits
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


def _left_in_files(folder: Path, layout: Layout, size: int, channels: int | None, notes: list[str]) -> Dataset:
    splits: Mapping[str, Files] = layout.splits
    train = splits["train"]
    if channels is None:
        order = np.argsort(keys(len(train), 0))[:HEADS]
        channels = 1 if all_grey([train.paths[place] for place in order.tolist()]) else 3
    pool = Decoders((channels, size, size), means.decoders())

    def images(split: str) -> Listed:
        return Listed(splits[split].paths, splits[split].labels, pool)

    return Dataset(
        name=printable(folder.name),
        classes=layout.classes,
        scale=1 / 255,
        train=images("train"),
        sealed=Sealed(len(splits["test"]), lambda: images("test")),
        val=images("val") if "val" in splits else None,
        notes=tuple(notes),
    )


def _seal(files: Files, folder: Path, share: float) -> NDArray[np.bool_]:
    """By the hash of the name, so that a sealed image stays sealed when files are added."""
    hashes = [hashlib.md5(name.encode("utf-8", "surrogateescape")).digest()[:8] for name in _under(folder, files.paths)]
    return draw(files.labels, sealed_quota(np.bincount(files.labels), share), np.frombuffer(b"".join(hashes), np.uint64))


def _pictures(
    files: Files, folder: Path, size: int, places: Places, notes: list[str]
) -> tuple[list[Picture], NDArray[np.int64]]:
    """The files that can be decoded, with their labels; what cannot is noted. Raises DataError where that is too much."""
    done = decode(files.paths, size, places.say)
    broken = [each for each in done if isinstance(each, Broken)]
    if broken:
        reasons = listed(
            f"{name} ({each.why})" for name, each in zip(_under(folder, (b.path for b in broken)), broken, strict=True)
        )
        if too_many(len(broken), len(files)):
            raise DataError(f"{len(broken)} of {len(files)} images in {printable(folder)} cannot be read: {reasons}")
        notes.append(f"{len(broken)} of {len(files)} images cannot be read and are left out: {reasons}")
    good = np.array([not isinstance(each, Broken) for each in done], dtype=np.bool_)
    return [each for each in done if not isinstance(each, Broken)], files.labels[good]


def too_many(broken: int, images: int) -> bool:
    """Whether so many unreadable images say that something is wrong with the set."""
    return broken > max(BROKEN_FEW, BROKEN_SHARE * images) or broken == images


def _under(folder: Path, paths: Iterable[Path]) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]
