"""What a folder of images holds: classes, or splits of classes; and what is wrong with it, in words."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cockpit.datasets.base import DataError
from cockpit.datasets.files import Paths
from cockpit.datasets.index import Index
from cockpit.datasets.words import listed, printable

SPLITS: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Files:
    """Image files with their classes."""

    paths: Paths
    labels: NDArray[np.int64]
    """(N,)"""

    def __len__(self) -> int:
        return len(self.paths)

    def where(self, mask: NDArray[np.bool_]) -> "Files":
        """Those that are marked."""
        return Files(self.paths.pick(mask), self.labels[mask])


@dataclass
class Layout:
    """The files of each split that is there."""

    classes: tuple[str, ...]
    splits: dict[str, Files]
    strangers: list[Path] = field(default_factory=list)
    """Files that are no images, and folders inside class folders."""


def resolve(path: str, root: Path) -> Path:
    """The folder that a recipe names: absolute, from the home folder, or inside the data folder. Raises DataError."""
    try:
        folder = root / Path(path).expanduser()
        if folder.is_dir():
            return folder
        folder.exists()
    except (OSError, RuntimeError) as error:  # too long, closed to us, or the home of a user who is not there
        why = getattr(error, "strerror", None) or str(error)
        raise DataError(f"data.path: {printable(path[:200])} cannot be read: {why}") from error
    if folder.exists():
        raise DataError(f"data.path: {printable(folder)} is a file; unpack it and name the folder")
    beside = [each.name for each in folder.parent.iterdir() if each.is_dir()] if folder.parent.is_dir() else []
    near = get_close_matches(folder.name, beside, n=1)
    hint = f"; did you mean {printable(folder.parent / near[0])}?" if near else ""
    raise DataError(f"data.path: there is no folder {printable(folder)}{hint}")


def survey(folder: Path) -> Layout:
    """Read the names in a folder. Raises DataError where it cannot be a set of classes, OSError where it cannot be read."""
    index = Index(folder)
    try:
        return _survey(folder, index)
    finally:
        index.save()


def _survey(folder: Path, index: Index) -> Layout:
    parents = _parents(folder, index)
    train = parents.get("train", folder)
    names = _folders(train, index)
    if len(names) < 2:
        raise DataError(_too_few(train, names, index))
    layout, known = Layout(tuple(map(printable, names)), {}), set(names)
    for split, parent in {**parents, "train": train}.items():
        unknown = [each for each in _folders(parent, index) if each not in known]
        if unknown:
            raise DataError(f"{printable(parent)} has the classes {listed(unknown)}, which {printable(train)} has not")
        layout.splits[split] = _files(parent, names, layout, index, full=split == "train")
    return layout


def _parents(folder: Path, index: Index) -> dict[str, Path]:
    """Split -> its folder; empty where the folder holds classes. A folder with images in it is a class, even if named test."""
    inner = _folders(folder, index)
    named = [each for each in inner if each.lower() in SPLITS]
    if not named:
        return {}
    splits = [each for each in named if _folders(folder / each, index)]
    if not splits and len(named) < len(inner):
        return {}
    others = [each for each in inner if each not in splits]
    if not splits:
        raise DataError(
            f"{printable(folder)}: {listed(others)} hold no class folders; put each class in a folder of its own there"
        )
    if others:
        raise DataError(
            f"{printable(folder)} mixes splits ({listed(splits)}) with other folders ({listed(others)}): "
            "move the others out, or name the folder whose sub-folders are the classes"
        )
    parents = {SPLITS[each.lower()]: folder / each for each in splits}
    if len(parents) < len(splits):
        raise DataError(f"{printable(folder)}: two of {listed(splits)} are the same split; keep one")
    if "train" not in parents:
        raise DataError(f"{printable(folder)} has {listed(splits)} and no folder train")
    return parents


def _too_few(folder: Path, names: list[str], index: Index) -> str:
    if names:
        inner = _folders(folder / names[0], index)
        hint = f"; did you mean {printable(folder / names[0])}, which holds {listed(inner)}?" if inner else "; a task needs two"
        return f"{printable(folder)} has a single sub-folder, {printable(names[0])}{hint}"
    loose = index.of(folder).images.count(b"\0")
    held = f"{loose:,} images and no sub-folders" if loose else "no sub-folders with images"
    return f"{printable(folder)} has {held}; put each class in a folder of its own there"


def _files(parent: Path, names: list[str], layout: Layout, index: Index, *, full: bool) -> Files:
    found: list[tuple[Path, bytes]] = []
    inside = {*names} if full else {*_folders(parent, index)}
    for name in names:
        each = parent / name
        listing = index.of(each) if name in inside else None
        if full and not (listing and listing.images):
            raise DataError(_empty(each, index))
        if listing:
            layout.strangers += [each / other for other in sorted(_names(listing.others) + _names(listing.folders))]
        found.append((each, listing.images if listing else b""))
    paths = Paths.of(found)
    return Files(paths, paths.owner.astype(np.int64))


def _empty(folder: Path, index: Index) -> str:
    inner = _folders(folder, index)
    if inner:
        held = f"no images but the sub-folders {listed(inner)}"
        return f"class folder {printable(folder)} has {held}: are the classes one level down?"
    return f"class folder {printable(folder)} has no images: fill it, or remove it"


def _folders(folder: Path, index: Index) -> list[str]:
    return _names(index.of(folder).folders)


def _names(ended: bytes) -> list[str]:
    return os.fsdecode(ended).split("\0")[:-1]
