"""The idx format of LeCun's MNIST files, plain or gzipped: big-endian sizes, then unsigned bytes."""

import gzip
import hashlib
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cockpit.datasets.base import DataError
from cockpit.datasets.words import printable

GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class IdxFile:
    """One file, read whole."""

    path: Path
    values: NDArray[np.uint8]
    digests: tuple[str, str]
    """md5 of the file as it lies there, and of what it holds unzipped."""


def read(path: Path, dims: int) -> IdxFile:
    """Read an idx file of unsigned bytes with that many dimensions. Raises DataError, naming the file."""
    raw = _guarded(path, path.read_bytes)
    content = _guarded(path, lambda: gzip.decompress(raw)) if raw.startswith(GZIP) else raw
    shape = _shape(content, dims, path)
    start, size = 4 + 4 * dims, math.prod(shape)
    if len(content) != start + size:
        kind = "is cut short" if len(content) < start + size else "is too long"
        raise DataError(f"{printable(path)} {kind}: {len(content):,} bytes where its header promises {start + size:,}; {RENEW}")
    values = np.frombuffer(content, np.uint8, offset=start).reshape(shape)
    return IdxFile(path, values, (_md5(raw), _md5(content)))


def count(path: Path, dims: int) -> int:
    """The number of items, from the header alone. Raises DataError, naming the file."""

    def header() -> bytes:
        with path.open("rb") as file:
            zipped = file.read(2) == GZIP
            file.seek(0)
            return (gzip.GzipFile(fileobj=file) if zipped else file).read(4 + 4 * dims)

    return _shape(_guarded(path, header), dims, path)[0]


RENEW = "remove it, and it is downloaded again where there is a network"


def _guarded(path: Path, work: Callable[[], bytes]) -> bytes:
    try:
        return work()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{printable(path)} is a gzip file that is cut short or damaged; {RENEW}") from error
    except OSError as error:
        raise DataError(f"{printable(path)} cannot be read: {error.strerror or error}") from error


def _shape(content: bytes, dims: int, path: Path) -> tuple[int, ...]:
    expected = bytes([0, 0, 8, dims])
    if content[:3] == expected[:3] and len(content) > 3 and content[3] != dims:
        raise DataError(f"{printable(path)} has {_dimensions(content[3])} where {dims} belong: are images and labels swapped?")
    if content[:4] != expected:
        raise DataError(
            f"{printable(path)} is no idx file of bytes: "
            f"it begins with {content[:4].hex(' ') or 'nothing'}, not {expected.hex(' ')}"
        )
    if len(content) < 4 + 4 * dims:
        raise DataError(f"{printable(path)} is cut short inside its header; {RENEW}")
    return tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, 4 + 4 * dims, 4))


def _dimensions(count: int) -> str:
    return f"{count} dimension{'s' * (count != 1)}"


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
