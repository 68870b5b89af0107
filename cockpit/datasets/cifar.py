"""CIFAR-10 and CIFAR-100, read and checked by torchvision in its own layout."""

from pathlib import Path
from typing import Any

import numpy as np

from cockpit.datasets.base import DataError, Dataset, Images, Places, Sealed
from cockpit.datasets.download import fetch
from cockpit.datasets.places import folders
from cockpit.datasets.words import listed, printable

TEST_IMAGES = 10_000


def read(classes: int, places: Places) -> Dataset:
    """CIFAR-10 or CIFAR-100: 50,000 training images of 3x32x32. Raises DataError."""
    from torchvision import datasets

    reader = {10: datasets.CIFAR10, 100: datasets.CIFAR100}[classes]
    title, name = f"CIFAR-{classes}", f"cifar{classes}"
    root = _find(reader, places.root) or places.root
    broken = _broken(reader, root)
    if broken:
        problem = _obtain(reader, title, root, places)
        if problem:
            raise DataError(_missing(reader, title, root, broken, problem))
    train = reader(root, train=True)
    sealed = Sealed(TEST_IMAGES, lambda: _images(reader(root, train=False)))
    return Dataset(name, tuple(train.classes), 1 / 255, _images(train), sealed)


def _images(data: Any) -> Images:
    """torchvision turns the stored (N, 3, 32, 32) into (N, 32, 32, 3); turn it back."""
    return Images(np.ascontiguousarray(data.data.transpose(0, 3, 1, 2)), np.asarray(data.targets, dtype=np.int64))


def _find(reader: Any, root: Path) -> Path | None:
    """The folder that holds the unpacked folder or the archive."""
    for folder, names in folders(root):
        if folder.name == reader.base_folder:
            return folder.parent
        if reader.filename in names:
            return folder
    return None


def _broken(reader: Any, root: Path) -> list[str]:
    """The files that are missing or differ from what torchvision knows. They are pickles: none is opened unchecked."""
    from torchvision.datasets.utils import check_integrity

    wanted = [*reader.train_list, *reader.test_list, (reader.meta["filename"], reader.meta["md5"])]
    return [name for name, md5 in wanted if not check_integrity(root / reader.base_folder / name, md5)]


def _obtain(reader: Any, title: str, root: Path, places: Places) -> str:
    """Unpack the archive if it lies there, else download it. Returns why it could not, or nothing."""
    from torchvision.datasets.utils import check_integrity, extract_archive

    archive = root / reader.filename
    if check_integrity(archive, reader.tgz_md5):
        places.say(f"unpacking {archive.name}")
        try:
            extract_archive(archive, root)
        except OSError as error:
            return f"{printable(archive)} could not be unpacked: {error.strerror or error}"
    else:
        problem = fetch(title, [reader.url], lambda: reader(root, download=True), places)
        if problem:
            return problem
    broken = _broken(reader, root)
    return f"after unpacking, {listed(broken)} still differ from the published files" if broken else ""


def _missing(reader: Any, title: str, root: Path, broken: list[str], problem: str) -> str:
    folder = root / reader.base_folder
    present = [name for name in broken if (folder / name).exists()]
    damaged = f"; {listed(present)} there differ from the published files" if present else ""
    return (
        f"{title} is not complete under {printable(root)}: put {reader.filename} there, "
        f"or its files {', '.join(broken)} into {printable(folder)}{damaged} ({problem})"
    )
