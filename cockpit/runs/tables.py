"""Numeric records of fixed width, appended by the host and memory-mapped by readers: a million steps open at once."""

import os
from bisect import bisect_right
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    ]
)
TABLES = {"steps": STEPS, "layers": LAYERS, "machine": MACHINE}


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


class TableWriter:
    """Appends whole rows to a file; a row torn by a crash is cut off when the file is opened again."""

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        path.parent.mkdir(exist_ok=True)
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115  (lives as long as the run)
        size = os.fstat(self._file.fileno()).st_size
        self._file.truncate(size - size % dtype.itemsize)

    def append(self, rows: Rows) -> None:
        """Write rows of the table's dtype. OSError when the disk is full; then nothing of them counts."""
        size = os.fstat(self._file.fileno()).st_size
        try:
            data = np.ascontiguousarray(rows, self._dtype).tobytes()
            if self._file.write(data) != len(data):
                raise OSError("the disk took only part of the rows")
        except OSError:
            self._file.truncate(size)
            raise

    def cut_after(self, step: int) -> None:
        """Drop the rows of later steps: they are trained again after a resume."""
        rows = read_table(Path(self._file.name), self._dtype)
        keep = int(np.searchsorted(rows["step"], step, side="right"))
        del rows
        self._file.truncate(keep * self._dtype.itemsize)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_table(path: Path, dtype: np.dtype[Any]) -> Rows:
    """The whole rows of a table as a read-only map; empty where there is no file yet, or none that can be read."""
    try:
        count = path.stat().st_size // dtype.itemsize
        return np.memmap(path, dtype, mode="r", shape=(count,)) if count else np.empty(0, dtype)
    except OSError:
        return np.empty(0, dtype)
