"""What a folder of images holds: classes, or splits of classes; and what is wrong with it, in words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cockpit.datasets.base import DataError
from cockpit.datasets.pictures import SUFFIXES
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

    paths: tuple[Path, ...]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.paths)

    def where(self, mask: NDArray[np.bool_]) -> "Files":
        """Those that are marked."""
        return Files(tuple(path for path, keep in zip(self.paths, mask, strict=True) if keep), self.labels[mask])


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
    beside = [each.name for each in _folders(folder.parent)] if folder.parent.is_dir() else []
    near = get_close_matches(folder.name, beside, n=1)
    hint = f"; did you mean {printable(folder.parent / near[0])}?" if near else ""
    raise DataError(f"data.path: there is no folder {printable(folder)}{hint}")


def survey(folder: Path) -> Layout:
    """Read the names in a folder. Raises DataError where it cannot be a set of classes."""
    parents = _parents(folder)
    train = parents.get("train", folder)
    names = tuple(each.name for each in _folders(train))
    if len(names) < 2:
        raise DataError(_too_few(train, names))
    layout = Layout(tuple(map(printable, names)), {})
    for split, parent in {**parents, "train": train}.items():
        unknown = [each.name for each in _folders(parent) if each.name not in names]
        if unknown:
            raise DataError(f"{printable(parent)} has the classes {listed(unknown)}, which {printable(train)} has not")
        layout.splits[split] = _files(parent, names, layout, full=split == "train")
    return layout


def _parents(folder: Path) -> dict[str, Path]:
    """Split -> its folder; empty where the folder holds classes. A folder with images in it is a class, even if named test."""
    inner = _folders(folder)
    named = [each for each in inner if each.name.lower() in SPLITS]
    if not named:
        return {}
    splits = [each for each in named if _folders(each)]
    if not splits and len(named) < len(inner):
        return {}
    others = [each.name for each in inner if each not in splits]
    if not splits:
        raise DataError(
            f"{printable(folder)}: {listed(others)} hold no class folders; put each class in a folder of its own there"
        )
    if others:
        raise DataError(
            f"{printable(folder)} mixes splits ({listed(each.name for each in splits)}) with other folders ({listed(others)}): "
            "move the others out, or name the folder whose sub-folders are the classes"
        )
    parents = {SPLITS[each.name.lower()]: each for each in splits}
    if len(parents) < len(splits):
        raise DataError(f"{printable(folder)}: two of {listed(each.name for each in splits)} are the same split; keep one")
    if "train" not in parents:
        raise DataError(f"{printable(folder)} has {listed(each.name for each in splits)} and no folder train")
    return parents


def _too_few(folder: Path, names: tuple[str, ...]) -> str:
    if names:
        inner = [each.name for each in _folders(folder / names[0])]
        hint = f"; did you mean {printable(folder / names[0])}, which holds {listed(inner)}?" if inner else "; a task needs two"
        return f"{printable(folder)} has a single sub-folder, {printable(names[0])}{hint}"
    loose = sum(_is_image(each) for each in _entries(folder))
    held = f"{loose:,} images and no sub-folders" if loose else "no sub-folders with images"
    return f"{printable(folder)} has {held}; put each class in a folder of its own there"


def _files(parent: Path, names: tuple[str, ...], layout: Layout, *, full: bool) -> Files:
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        entries = _entries(parent / name) if (parent / name).is_dir() else []
        images = [each for each in entries if _is_image(each)]
        if full and not images:
            raise DataError(_empty(parent / name, entries))
        layout.strangers += [each for each in entries if each not in set(images)]
        paths += images
        labels += [label] * len(images)
    return Files(tuple(paths), np.asarray(labels, dtype=np.int64))


def _empty(folder: Path, entries: list[Path]) -> str:
    inner = [each.name for each in entries if each.is_dir()]
    if inner:
        held = f"no images but the sub-folders {listed(inner)}"
        return f"class folder {printable(folder)} has {held}: are the classes one level down?"
    return f"class folder {printable(folder)} has no images: fill it, or remove it"


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, by name, without hidden things."""
    return sorted(each for each in folder.iterdir() if not each.name.startswith("."))


def _folders(folder: Path) -> list[Path]:
    return [each for each in _entries(folder) if each.is_dir()]
