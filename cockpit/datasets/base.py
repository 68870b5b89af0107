"""What every reader returns, and what it may ask of its surroundings. NumPy only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from cockpit.datasets.listed import Listed


class DataError(Exception):
    """Data that is missing or broken; the text says what, where, and which files to put there."""


@dataclass(frozen=True)
class Images:
    """Images with their classes."""

    pixels: NDArray[np.uint8 | np.float32]
    """(N, C, H, W); bytes, or floats where the source holds values of its own."""
    labels: NDArray[np.int64]
    """(N,)"""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W)"""
        return self.pixels.shape[1:]

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return self.pixels.nbytes

    def where(self, mask: NDArray[np.bool_]) -> Images:
        """Those that are marked, in their order."""
        return Images(self.pixels[mask], self.labels[mask])


@dataclass(frozen=True)
class Sealed:
    """A test set that has been counted and not read. Only the vault calls `open`."""

    count: int
    open: Callable[[], Images | Listed] = field(repr=False)


@dataclass(frozen=True)
class Dataset:
    """A source, decoded."""

    name: str
    classes: tuple[str, ...]
    scale: float
    """A pixel times this lies in [0, 1]: 1/255 for photographs, 1/16 for the bundled digits."""
    train: Images | Listed
    sealed: Sealed
    val: Images | Listed | None = None
    """The source's own validation set, where it has one; else one is split from the training set."""
    notes: tuple[str, ...] = ()
    """What the user should know: a checksum that is not known, images that were skipped and why."""


@dataclass(frozen=True)
class Places:
    """Where data lies, and how a reader reports on a long task."""

    root: Path
    """The data folder (COCKPIT_DATA, or the platform's folder)."""
    download: bool = True
    """Whether a missing source may be fetched."""
    files: bool | None = None
    """Whether images that lie in files stay there until they are wanted; None: where they would fill too much memory."""
    say: Callable[[str], None] = field(default=lambda text: None, repr=False)
    """Called with a line of progress."""
