"""What every reader returns, and what it may ask of its surroundings. NumPy only."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


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


@dataclass(frozen=True)
class Sealed:
    """A test set that has been counted and not read. Only the vault calls `open`."""

    count: int
    open: Callable[[], Images] = field(repr=False)


@dataclass(frozen=True)
class Dataset:
    """A source, decoded."""

    name: str
    classes: tuple[str, ...]
    scale: float
    """A pixel times this lies in [0, 1]: 1/255 for photographs, 1/16 for the bundled digits."""
    train: Images
    sealed: Sealed
    val: Images | None = None
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
    say: Callable[[str], None] = field(default=lambda text: None, repr=False)
    """Called with a line of progress."""
