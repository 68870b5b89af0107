"""Numeric records of fixed width, appended by the host and memory-mapped by readers: a million steps open at once.

A file is a head that names the columns, and rows: `numpy.memmap(path, dtype, offset=1024)` reads it.
"""

import errno
import json
import os
import re
import zlib
from bisect import bisect_left, bisect_right
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cockpit.runs.private import opener

Rows = NDArray[np.void]

STEPS = np.dtype(
    [
        ("step", "<i8"),
        ("time", "<f8"),  # seconds of training since the run began, pauses left out
        ("loss", "<f4"),  # of the batch, as trained: mixed, smoothed, augmented
        ("accuracy", "<f4"),  # of the batch; NaN where the targets are mixed
        ("lr", "<f4"),
        ("grad_norm", "<f4"),  # before clipping; NaN on steps that are not sampled
        ("update_ratio", "<f4"),  # median over layers of |change| / |weight|; NaN likewise
        ("speed", "<f4"),  # steps per second
        ("probing", "<f4"),  # seconds of the step spent on measuring and judging
        ("held", "<f4"),  # 1 where a trick held the step back: whatever its loss, the weights know nothing of it
        ("stale", "<f4"),  # 1 where a gradient was left over from the step before; NaN where nobody looked
    ]
)
LAYERS = np.dtype(
    [
        ("step", "<i8"),
        ("layer", "<i4"),  # index into Started.layers
        ("grad_norm", "<f4"),
        ("weight_norm", "<f4"),
        ("weight_std", "<f4"),  # measured with the units
        ("update_ratio", "<f4"),
        ("dead", "<f4"),  # share of ReLU units never active on the probe; NaN where the layer feeds no ReLU
        ("saturated", "<f4"),  # share of sigmoid or tanh units stuck at their ends on the probe; NaN likewise
        ("alike", "<f4"),  # mean cosine between the rows of the weight, 1 where all are one; measured with the units
    ]
)
STAGES = ("data", "wait", "forward", "backward", "optimizer", "record", "evaluation")
"""What a training may spend its time on: making batches, standing still until there are images to make them of, the three
parts of a step, then rows, flags, commands and checkpoints."""
MACHINE = np.dtype(
    [
        ("time", "<f8"),  # unix seconds
        ("cpu", "<f4"),  # percent of all cores
        ("memory", "<f4"),  # percent
        ("rss", "<f4"),  # bytes of the host process
        ("gpu", "<f4"),  # percent; NaN where there is no GPU, as for all that follow
        ("gpu_memory", "<f4"),  # percent
        ("gpu_temperature", "<f4"),  # degrees Celsius
        ("gpu_power", "<f4"),  # watts
        *((stage, "<f4") for stage in STAGES),  # percent of the training's time since the last row
    ]
)
TABLES = {"steps": STEPS, "layers": LAYERS, "machine": MACHINE}


HEAD = 1024
"""Bytes before the first row: the layout, twice, so that no single damage takes the table with it."""


def blank(count: int | tuple[int, ...], dtype: np.dtype[Any]) -> Rows:
    """Rows in which every measurement is unknown: NaN, or 0 for whole numbers."""
    rows = np.zeros(count, dtype)
    for name in dtype.names or ():
        if dtype[name].kind == "f":
            rows[name] = np.nan
    return rows


def rows_until(rows: Rows, step: int) -> int:
    """How many rows of a table with steps go up to and with that step. searchsorted would first copy the whole column."""
    return bisect_right(np.asarray(rows)["step"], step)


def rows_of(rows: Rows, step: int) -> Rows:
    """The rows of one step of a table with steps."""
    found: Rows = np.asarray(rows)[rows_until(rows, step - 1) : rows_until(rows, step)]
    return found


def places_of(rows: Rows, steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the rows of some steps are, or would be, in a table that has one row a step; at most its last place."""
    column = np.asarray(rows)["step"]
    last = len(column) - 1
    places: NDArray[np.int64] = (steps - column[0]).clip(0, last)
    for at in np.flatnonzero(column[places] != steps):  # steps are missing
        places[at] = min(bisect_left(column, steps[at]), last)
    return places


def orderly(rows: Rows) -> Rows:
    """A table with steps without the rows whose step cannot be: the same rows where all can."""
    steps = np.asarray(rows)["step"]
    falls = np.flatnonzero(steps[1:] < steps[:-1])
    if not len(falls):
        return rows
    keep, level = np.ones(len(rows), bool), "layer" in (rows.dtype.names or ())  # several rows of one step
    for at in falls[:1000]:  # one step is damaged: the one that would fit without the other is not it
        fits = at == 0 or steps[at + 1] > steps[at - 1] or (level and steps[at + 1] == steps[at - 1])
        keep[at if fits else at + 1] = False
    left = rows[keep]
    steps = np.asarray(left)["step"]
    falls = np.flatnonzero(steps[1:] < steps[:-1])
    return left[: falls[0] + 1] if len(falls) else left


def table_bytes(rows: Rows) -> bytes:
    """A whole table as its file holds it."""
    return _head(rows.dtype) + np.ascontiguousarray(rows).tobytes()


class TableWriter:
    """Appends whole rows to a file; a row torn by a crash is cut off when the file is opened again.

    A table in the layout of another version is brought to this one's; what is no table is moved aside.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        path.parent.mkdir(exist_ok=True)
        stored = _layout(path)
        if stored is None and path.exists() and path.stat().st_size:
            os.replace(path, path.with_suffix(".damaged"))
        elif stored not in (None, dtype):
            write_table(path, read_table(path, dtype))
        self._file = open(path, "ab", buffering=0, opener=opener)  # noqa: SIM115  (lives as long as the run)
        self._mend()

    def _mend(self) -> None:
        """Cut off a torn row, and begin the file if it is new. OSError when the disk is full."""
        size = os.fstat(self._file.fileno()).st_size
        if size >= HEAD:
            self._file.truncate(size - (size - HEAD) % self._dtype.itemsize)
        else:
            self._file.truncate(0)
            self._write(_head(self._dtype))

    def append(self, rows: Rows) -> None:
        """Write rows of the table's dtype. OSError when the disk is full; then nothing of them counts."""
        if os.fstat(self._file.fileno()).st_size < HEAD:
            self._mend()
        self._write(np.ascontiguousarray(rows, self._dtype).tobytes())

    def _write(self, data: bytes) -> None:
        size = os.fstat(self._file.fileno()).st_size
        try:
            if self._file.write(data) != len(data):
                raise OSError(errno.ENOSPC, "the disk took only part of the rows")
        except OSError:
            self._file.truncate(size)
            raise

    def flush(self) -> None:
        """Wait until the disk has every row."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def write_table(path: Path, rows: Rows) -> None:
    """Put a whole table in the place of another. In a new file: readers hold a map of the old one. OSError: as it was."""
    part = path.with_suffix(".part")
    try:
        part.write_bytes(table_bytes(rows))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_table(path: Path, dtype: np.dtype[Any]) -> Rows:
    """The whole rows of a table as a read-only map; empty where there is no file yet, or none that can be read.

    Of a table in another layout, the columns that this one knows; the others are unknown.
    """
    stored = _layout(path)
    if stored is None:
        return np.empty(0, dtype)
    try:
        count = (path.stat().st_size - HEAD) // stored.itemsize
        rows: Rows = np.memmap(path, stored, mode="r", offset=HEAD, shape=(count,)) if count > 0 else np.empty(0, stored)
    except (OSError, ValueError):  # gone or cut since
        return np.empty(0, dtype)
    if stored == dtype:
        return rows
    known = blank(len(rows), dtype)
    for name in set(dtype.names or ()) & set(stored.names or ()):
        known[name] = rows[name]
    return known


def _head(dtype: np.dtype[Any]) -> bytes:
    said = json.dumps([[name, dtype[name].str] for name in dtype.names or ()], separators=(",", ":"))
    line = f"cockpit table {zlib.crc32(said.encode()):08x} {said}"
    return 2 * (line.encode().ljust(HEAD // 2 - 1) + b"\n")


def _layout(path: Path) -> np.dtype[Any] | None:
    """What a table's file says of its rows; None where it says nothing that can be believed."""
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError:
        return None
    return _said(head) if len(head) == HEAD else None


@lru_cache
def _said(head: bytes) -> np.dtype[Any] | None:
    for half in (head[: HEAD // 2], head[HEAD // 2 :]):
        match = re.fullmatch(rb"cockpit table ([0-9a-f]{8}) (\[.*\]) *\n", half)
        if match and zlib.crc32(match[2]) == int(match[1], 16):
            columns = [(str(name), str(kind)) for name, kind in json.loads(match[2])]
            # Only plain numbers: a map of anything else could reach into memory.
            return np.dtype(columns) if all(re.fullmatch("<[if][48]", kind) for _, kind in columns) else None
    return None
