"""Image files of any size and mode into bytes of one shape, decoded in parallel."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cockpit.datasets.means import cores

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"})
GREY = ("1", "L", "LA", "La", "I;16", "I;16L", "I;16B", "I;16N")
REPORT_EVERY = 2.0
"""Seconds between two lines of progress."""


@dataclass(frozen=True)
class Broken:
    """A file that could not be decoded, and why."""

    path: Path
    why: str


Picture = NDArray[np.uint8]
"""(H, W) where the file is grey, else (H, W, 3)."""


def decode(paths: Sequence[Path], size: int, say: Callable[[str], None]) -> list[Picture | Broken]:
    """Decode every file to size x size, in order."""
    done: list[Picture | Broken] = []
    reported = time.monotonic()
    with ThreadPoolExecutor(min(16, cores())) as pool:
        for result in pool.map(lambda path: decoded(path, size), paths):
            done.append(result)
            if time.monotonic() - reported > REPORT_EVERY:
                reported = time.monotonic()
                say(f"decoding images: {len(done):,} of {len(paths):,}")
    return done


def decoded(path: Path, size: int) -> Picture | Broken:
    """One file as size x size bytes."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            # JPEG decodes straight to a half, a quarter or an eighth; twice the target leaves enough to filter.
            image.draft(image.mode, (2 * size, 2 * size))
            flat = _flatten(ImageOps.exif_transpose(image))
            # The largest centred square, resized: shorter side to size, then the centre.
            return np.asarray(ImageOps.fit(flat, (size, size), Image.Resampling.BILINEAR), dtype=np.uint8)
    except UnidentifiedImageError:  # its own words repeat the whole path
        return Broken(path, "it is no image, or of an unknown kind")
    except Exception as error:  # Pillow's decoders raise whatever a damaged file makes them raise
        return Broken(path, f"{type(error).__name__}: {error}")


def all_grey(paths: Sequence[Path]) -> bool:
    """Whether every file that can be opened is grey. Reads their heads alone."""
    with ThreadPoolExecutor(min(16, cores())) as pool:
        return all(pool.map(_grey, paths))


def _grey(path: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.mode in GREY
    except Exception:  # whoever reads the whole of it says what is wrong
        return True


def _flatten(image: "Image") -> "Image":
    """8-bit grey or RGB, upright; what is transparent becomes white."""
    from PIL import Image

    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode} have no fixed range; save it with 8 or 16 bits")
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint32) // 257).astype(np.uint8))
    grey = image.mode in GREY
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("L" if grey else "RGB")


def stack(pictures: Sequence[Picture], channels: int) -> NDArray[np.uint8]:
    """(N, C, H, W) with 1 or 3 channels; grey is repeated, colour is weighed as ITU-R 601 does."""
    side = pictures[0].shape[0]
    pixels = np.empty((len(pictures), channels, side, side), np.uint8)
    for place, picture in enumerate(pictures):
        if picture.ndim == 2:
            pixels[place] = picture
        elif channels == 3:
            pixels[place] = picture.transpose(2, 0, 1)
        else:
            pixels[place] = (picture.astype(np.uint32) @ np.array([299, 587, 114], np.uint32) + 500) // 1000
    return pixels
