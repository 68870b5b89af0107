"""MNIST and the two sets that share its format and even its file names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cockpit.datasets import idx
from cockpit.datasets.base import DataError, Dataset, Images, Places, Sealed
from cockpit.datasets.download import fetch
from cockpit.datasets.idx import IdxFile
from cockpit.datasets.places import folders
from cockpit.datasets.words import listed, printable


@dataclass(frozen=True)
class IdxSet:
    """What is known of one set."""

    name: str
    title: str
    torchvision: str
    """Its class in torchvision.datasets."""
    folders: frozenset[str]
    """Folder names that announce it, in lower case without signs."""
    classes: tuple[str, ...]
    mean: float
    """Of the training pixels, in [0, 1]."""
    digests: frozenset[str]
    """md5 of its four files: gzipped as torchvision lists them, and unzipped."""


DIGITS = tuple("0123456789")
MNIST = IdxSet(
    name="mnist",
    title="MNIST",
    torchvision="MNIST",
    folders=frozenset({"mnist"}),
    classes=DIGITS,
    mean=0.1307,
    digests=frozenset(
        {
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
            "6bbc9ace898e44ae57da46a324031adb",
            "a25bea736e30d166cdddb491f175f624",
            "2646ac647ad5339dbf082846283269ea",
            "27ae3e4e09519cfbb04c329615203637",
        }
    ),
)
FASHION_MNIST = IdxSet(
    name="fashion_mnist",
    title="Fashion-MNIST",
    torchvision="FashionMNIST",
    folders=frozenset({"fashionmnist", "fashion"}),
    classes=("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    mean=0.2860,
    digests=frozenset(
        {
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
            "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "9018921c3c673c538a1fc5bad174d6f9",
            "8181f5470baa50b63fa0f6fddb340f0a",
            "15d484375f8d13e6eb1aabb0c3f46965",
        }
    ),
)
KMNIST = IdxSet(
    name="kmnist",
    title="KMNIST",
    torchvision="KMNIST",
    folders=frozenset({"kmnist", "kuzushijimnist", "kuzushiji"}),
    classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    mean=0.1918,
    digests=frozenset(
        {
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        }
    ),
)
SETS = (MNIST, FASHION_MNIST, KMNIST)

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
Found = Mapping[str, Path]
"""The standard name of a file -> where it lies."""


def read(which: IdxSet, places: Places) -> Dataset:
    """Find the four files, or download them, and read the training set. Raises DataError."""
    found = find(which, places.root)
    if len(found) < len(FILES):
        problem = fetch(which.title, _urls(which), lambda: _download(which, places.root), places)
        found = find(which, places.root) if not problem else found
        if len(found) < len(FILES):
            raise DataError(_missing(which, found, places.root, problem))
    train, notes = _images(which, found, "train")
    sealed = Sealed(idx.count(found[FILES[2]], 3), lambda: _images(which, found, "t10k")[0])
    return Dataset(which.name, which.classes, 1 / 255, train, sealed, notes=notes)


def find(which: IdxSet, root: Path) -> Found:
    """The most complete collection of its files in one folder; a folder that bears the set's name wins over others."""
    best: tuple[tuple[bool, int], Found] = ((False, 0), {})
    for folder, names in folders(root):
        owner = _owner(folder, root)
        if owner not in (None, which):
            continue
        found = _files(folder, names)
        worth = (owner is which, len(found))
        if worth == (True, len(FILES)):
            return found
        whole, best_whole = len(found) == len(FILES), len(best[1]) == len(FILES)
        if found and (whole, *worth) > (best_whole, *best[0]):
            best = (worth, found)
    return best[1]


def _owner(folder: Path, root: Path) -> IdxSet | None:
    """The set that the nearest telling folder name announces."""
    for part in reversed((root.name, *folder.relative_to(root).parts)):
        plain = re.sub("[^a-z]", "", part.lower())
        for which in SETS:
            if plain in which.folders:
                return which
    return None


def _files(folder: Path, names: frozenset[str]) -> Found:
    """Zipped files come first: their checksums are the published ones."""
    found = {}
    for name in FILES:
        spellings = (name + ".gz", name.replace("-idx", ".idx") + ".gz", name, name.replace("-idx", ".idx"))
        for spelling in spellings:
            if spelling in names:
                found[name] = folder / spelling
                break
    return found


def _images(which: IdxSet, found: Found, half: str) -> tuple[Images, tuple[str, ...]]:
    images, labels = idx.read(found[f"{half}-images-idx3-ubyte"], 3), idx.read(found[f"{half}-labels-idx1-ubyte"], 1)
    unknown = [file for file in (images, labels) if not _verified(which, file)]
    if len(images.values) != len(labels.values):
        raise DataError(
            f"{printable(labels.path)} has {len(labels.values):,} labels for the {len(images.values):,} images "
            f"of {printable(images.path.name)}: the two do not belong together"
        )
    if not len(labels.values):
        raise DataError(f"{printable(images.path)} holds no images")
    if labels.values.max() >= len(which.classes):
        raise DataError(f"{printable(labels.path)} has the label {labels.values.max()}; {which.title} has classes 0 to 9")
    notes = _doubts(which, unknown, images) if unknown else ()
    return Images(images.values[:, None].copy(), labels.values.astype(np.int64)), notes


def _verified(which: IdxSet, file: IdxFile) -> bool:
    """Whether the checksum is the set's own. Raises DataError where it is another set's."""
    for other in SETS:
        if other is not which and other.digests.intersection(file.digests):
            raise DataError(
                f"{printable(file.path)} is a file of {other.title}, not of {which.title}: "
                f"put each set in a folder of its own, or say data.source: {other.name}"
            )
    return not which.digests.isdisjoint(file.digests)


def _doubts(which: IdxSet, unknown: list[IdxFile], images: IdxFile) -> tuple[str, ...]:
    names = listed(file.path.name for file in unknown)
    notes = [f"{names} in {printable(images.path.parent)}: checksum not known, so perhaps not the original {which.title}"]
    mean = float(images.values.mean()) / 255
    like = min(SETS, key=lambda each: abs(each.mean - mean))
    if like is not which and abs(like.mean - mean) < 0.01:
        notes.append(
            f"the mean pixel of {printable(images.path)} is {mean:.3f}, as in {like.title}; {which.title} has {which.mean:.3f}"
        )
    return tuple(notes)


def _missing(which: IdxSet, found: Found, root: Path, problem: str) -> str:
    lacking = ", ".join(name + ".gz" for name in FILES if name not in found)
    folder = next(iter(found.values())).parent if found else root / which.name
    why = f" ({problem})" if problem else ""
    return f"{which.title} is not complete under {printable(root)}: put {lacking} (or unzipped) into {printable(folder)}{why}"


def _urls(which: IdxSet) -> list[str]:
    import torchvision

    return list(getattr(torchvision.datasets, which.torchvision).mirrors)


def _download(which: IdxSet, root: Path) -> None:
    import torchvision

    getattr(torchvision.datasets, which.torchvision)(root, download=True)
