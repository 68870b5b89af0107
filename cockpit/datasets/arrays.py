"""Arrays of one's own, from an .npz file: images, or a table with one row an example."""

import hashlib
import zipfile
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cockpit.datasets.base import DataError, Dataset, Images, Places, Sealed
from cockpit.datasets.strata import draw, sealed_quota
from cockpit.datasets.words import listed, printable

PARTS = ("", "_val", "_test")
"""What ends the names of the training, validation and test arrays."""


def read(path: str, test: float, scale: float | None, places: Places) -> Dataset:
    """Arrays `x` and `y`, and `x_val`, `y_val`, `x_test`, `y_test` where the file has them.

    Without test arrays, a share `test` of each class is sealed. `scale` None: 1/255 for bytes, else 1. Raises DataError.
    """
    file = _resolve(path, places.root)
    arrays = _arrays(file)
    whole = {part: _images(arrays, part) for part in PARTS if not part or f"x{part}" in arrays or f"y{part}" in arrays}
    train = whole[""]
    classes = _classes(train.labels)
    for part, images in whole.items():
        _fits(images, train, part, classes)
    sealed = whole.get("_test")
    if sealed is None:
        train, sealed = _seal(train, test, classes)
    return Dataset(
        name=printable(file.stem),
        classes=tuple(str(each) for each in range(classes)),
        scale=scale or (1 / 255 if train.pixels.dtype == np.uint8 else 1.0),
        train=train,
        sealed=Sealed(len(sealed), lambda: sealed),
        val=whole.get("_val"),
        notes=tuple(_strange(images, part) for part, images in whole.items() if not np.isfinite(images.pixels).all()),
    )


def _resolve(path: str, root: Path) -> Path:
    """The file that a recipe names: absolute, from the home folder, or inside the data folder. Raises DataError."""
    try:
        file = root / Path(path).expanduser()
        if file.is_file():
            return file
        beside = [each.name for each in file.parent.glob("*.npz")] if file.parent.is_dir() else []
    except (OSError, RuntimeError, ValueError) as error:  # too long, closed to us, or the home of nobody
        raise DataError(f"data.path: {printable(path[:200])} cannot be read: {error}") from error
    if file.is_dir():
        raise DataError(f"data.path: {printable(file)} is a folder; name the .npz file, or read images with source folder")
    near = get_close_matches(file.name, beside, n=1)
    hint = f"; did you mean {printable(file.parent / near[0])}?" if near else ""
    raise DataError(f"data.path: there is no file {printable(file)}{hint}")


def _arrays(file: Path) -> Mapping[str, NDArray[Any]]:
    """Every array of the file; none is unpickled, so that reading runs no code. Raises DataError."""
    name = printable(file)
    known = [f"{kind}{part}" for kind in "xy" for part in PARTS]
    try:
        with open(file, "rb") as stream:
            found = np.load(stream, allow_pickle=False)
            if not isinstance(found, np.lib.npyio.NpzFile):
                raise DataError(f"data.path: {name} holds a single array; save x and y together with numpy.savez")
            return {key: found[key] for key in known if key in found.files} or _nothing(name, found.files)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"data.path: {name} is no .npz file of plain arrays: {error}") from error


def _nothing(name: str, keys: list[str]) -> Mapping[str, NDArray[Any]]:
    raise DataError(f"data.path: {name} has no array called x; it has {listed(keys) or 'none'}")


def _images(arrays: Mapping[str, NDArray[Any]], part: str) -> Images:
    """One part: x as (N, C, H, W), y as (N,). Raises DataError."""
    for key in (f"x{part}", f"y{part}"):
        if key not in arrays:
            raise DataError(f"data.path: the file has no array {key}; it has {listed(arrays)}")
    return Images(_pixels(arrays[f"x{part}"], f"x{part}"), _labels(arrays[f"y{part}"], arrays[f"x{part}"], part))


def _pixels(x: NDArray[Any], key: str) -> NDArray[np.uint8 | np.float32]:
    """(N, C, H, W) as it is, (N, H, W) with one channel, (N, F) with a channel for each column; bytes stay bytes."""
    if x.ndim not in (2, 3, 4) or not x.size:
        raise DataError(f"{key}: its shape is {x.shape}; it must be (N, C, H, W), (N, H, W) or (N, F), and not empty")
    if x.dtype.kind not in "buif":
        raise DataError(f"{key}: it holds {x.dtype}, not numbers")
    shaped = x[:, None] if x.ndim == 3 else x[:, :, None, None] if x.ndim == 2 else x
    if shaped.dtype == np.uint8:
        return np.ascontiguousarray(shaped)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and the note says so
        return np.ascontiguousarray(shaped, dtype=np.float32)


def _labels(y: NDArray[Any], x: NDArray[Any], part: str) -> NDArray[np.int64]:
    if y.ndim != 1:
        raise DataError(f"y{part}: its shape is {y.shape}; it must be (N,), the number of each example's class")
    if len(y) != len(x):
        raise DataError(f"y{part}: it has {len(y):,} labels for the {len(x):,} examples of x{part}")
    if y.dtype.kind not in "buif":
        raise DataError(f"y{part}: it holds {y.dtype}; number the classes from 0")
    if y.dtype.kind == "f" and not (np.isfinite(y).all() and (y == np.floor(y)).all()):
        odd = y[~(np.isfinite(y) & (y == np.floor(y)))][0]
        raise DataError(f"y{part}: {odd:g} is no class; labels are whole numbers from 0")
    if y.min() < 0:
        raise DataError(f"y{part}: {y.min()} is no class; labels are whole numbers from 0")
    return y.astype(np.int64)


def _classes(labels: NDArray[np.int64]) -> int:
    """How many classes the training labels show. Raises DataError where they are not numbered 0, 1, 2 ... without gaps."""
    seen = np.unique(labels)
    if len(seen) < 2:
        raise DataError(f"y: every label is {seen[0]}; a classifier needs two classes or more")
    gap = np.flatnonzero(seen != np.arange(len(seen)))
    if len(gap):
        raise DataError(
            f"y: no example is of class {gap[0]}, and some are of {seen[-1]}; number the classes from 0 without gaps"
        )
    return len(seen)


def _fits(images: Images, train: Images, part: str, classes: int) -> None:
    """Raise DataError where a part is not of the training arrays' kind."""
    if images.pixels.shape[1:] != train.pixels.shape[1:] or images.pixels.dtype != train.pixels.dtype:
        kinds = [f"{each.pixels.dtype} {each.pixels.shape[1:]}" for each in (images, train)]
        raise DataError(f"x{part}: an example is {kinds[0]}, and one of x is {kinds[1]}, channels first")
    if images.labels.max() >= classes:
        raise DataError(f"y{part}: {images.labels.max()} is no class; the training labels end at {classes - 1}")


def _seal(images: Images, share: float, classes: int) -> tuple[Images, Images]:
    """(training, test), by the hash of the values: an example stays sealed when others are added, with its copies."""
    marked = np.zeros(len(images), np.bool_)
    if share:
        rows = images.pixels.reshape(len(images), -1)
        hashes = b"".join(hashlib.blake2b(row.data, digest_size=8).digest() for row in rows)
        quota = sealed_quota(np.bincount(images.labels, minlength=classes), share)
        marked = draw(images.labels, quota, np.frombuffer(hashes, np.uint64))
    train, test = (Images(images.pixels[mask], images.labels[mask]) for mask in (~marked, marked))
    return train, test


def _strange(images: Images, part: str) -> str:
    count = int((~np.isfinite(images.pixels)).sum())
    values = "value is" if count == 1 else "values are"
    return f"x{part}: {count:,} {values} not finite (NaN or infinite) and will reach the network so"
