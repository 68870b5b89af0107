"""Thumbnails as characters: two pixels in each, by the upper half block, or by shades where there are no colours."""

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHADES = " .:-=+*#%@"
CAPTION = 24
"""Characters of a caption that are shown."""


@dataclass(frozen=True)
class Picture:
    """One image with its caption, as `cockpit preview --json` prints it."""

    pixels: NDArray[np.uint8]
    """(height, width, 3)"""
    caption: str


def picture(plain: dict[str, Any]) -> Picture:
    """From JSON data. Raises KeyError and ValueError where it is something else."""
    height, width, channels = plain["shape"]
    pixels = np.frombuffer(base64.b64decode(plain["pixels"]), np.uint8).reshape(height, width, channels)
    colour = pixels if channels == 3 else np.repeat(pixels[:, :, :1], 3, axis=2)
    parts = plain["target"]
    caption = str(parts[0][0]) if len(parts) == 1 else " + ".join(f"{share:.0%} {name}" for name, share in parts[:3])
    return Picture(colour, caption)


def shrunk(pixels: NDArray[np.uint8], most: int) -> NDArray[np.uint8]:
    """Every n-th pixel, so that no side is longer than `most`."""
    step = -(-max(pixels.shape[:2]) // most)
    return pixels[::step, ::step]


def half_blocks(pixels: NDArray[np.uint8]) -> list[list[tuple[str, str]]]:
    """Rows of (character, style), the style being `#rrggbb on #rrggbb`; an odd last row has black below it."""
    if len(pixels) % 2:
        pixels = np.concatenate([pixels, np.zeros_like(pixels[:1])])
    return [
        [("▀", f"{_hex(above)} on {_hex(below)}") for above, below in zip(*pair, strict=True)]
        for pair in zip(pixels[::2], pixels[1::2], strict=True)
    ]


def shaded(pixels: NDArray[np.uint8]) -> list[str]:
    """Rows of ASCII characters, two pixels above each other in one."""
    grey = pixels.astype(float).mean(axis=2)
    if len(grey) % 2:
        grey = np.concatenate([grey, grey[-1:]])
    level = ((grey[::2] + grey[1::2]) / 2 / 256 * len(SHADES)).astype(int)
    return ["".join(SHADES[each] for each in row) for row in level]


def _hex(colour: NDArray[np.uint8]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour.tolist())
