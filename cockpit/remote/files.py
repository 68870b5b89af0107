"""The files of a run directory that travel, and how each is read."""

import os
from pathlib import Path

import numpy as np

from cockpit.remote.thin import EXACT, LONG, sketch
from cockpit.runs.directory import RunDir
from cockpit.runs.tables import HEAD, TABLES, read_table, table_bytes

WHOLE = {"recipe.yaml": 1 << 20, "ledger.jsonl": 1 << 20, "host.log": 4096}
"""Sent whole when they change -> the most bytes, counted from the end."""
LOG = "events.jsonl"
GROWING = {LOG: 1 << 28, **{f"metrics/{name}.bin": 1 << 30 for name in TABLES}}
"""Sent as they grow -> the most bytes that a mirror takes."""


def small(run: RunDir, name: str) -> bytes:
    """A file of WHOLE, or its end; empty where it cannot be read."""
    try:
        with open(run.path / name, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - WHOLE[name]))
            return file.read(WHOLE[name])
    except OSError:
        return b""


class Lines:
    """A log of lines; the last one counts once it is whole."""

    width = 1

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size = 0

    def look(self) -> None:
        """See how long it is now."""
        end = _size(self._path)
        while end:
            begin = max(0, end - 65536)
            at = self.read(begin, end).rfind(b"\n")
            if at >= 0:
                end = begin + at + 1
                break
            end = begin
        self.size = end

    def read(self, begin: int, end: int) -> bytes:
        """Bytes of the file."""
        return _read(self._path, begin, end)

    def ahead(self, _: int) -> int:
        """A log has no rows."""
        return 0

    def sketch(self) -> tuple[int, bytes]:
        """A log has none."""
        return 0, b""


class Table:
    """A numeric table in this version's layout, whatever the file's is: bytes of the head, then of whole rows."""

    def __init__(self, run: RunDir, name: str) -> None:
        self._path, self._name, self._dtype = run.table(name), name, TABLES[name]
        self._head = table_bytes(np.empty(0, self._dtype))
        self.width = self._dtype.itemsize
        self._brought: bytes | None = None
        self.size = 0

    def look(self) -> None:
        """See how long it is now."""
        head = _read(self._path, 0, HEAD)
        if head == self._head or len(head) < HEAD:
            rows = (_size(self._path) - HEAD) // self.width
            self._brought, self.size = None, HEAD + rows * self.width if rows >= 0 else 0
        else:
            self._brought = table_bytes(read_table(self._path, self._dtype))
            self.size = len(self._brought)

    def read(self, begin: int, end: int) -> bytes:
        """Bytes of the table."""
        return _read(self._path, begin, end) if self._brought is None else self._brought[begin:end]

    def ahead(self, at: int) -> int:
        """Bytes from an offset to the next beginning of a row; 0 at one."""
        return HEAD - at if at < HEAD else (HEAD - at) % self.width

    def sketch(self) -> tuple[int, bytes]:
        """(bytes of the table that it stands for, a table in their place); none where the table is short."""
        rows = read_table(self._path, self._dtype)[: max(0, (self.size - HEAD) // self.width)]
        if len(rows) < LONG:
            return 0, b""
        old = len(rows) - EXACT
        return HEAD + old * self.width, table_bytes(sketch(self._name, rows[:old]))


def sources(run: RunDir) -> dict[str, Lines | Table]:
    """The files of GROWING, the log first: it tells when the tables were cut."""
    return {LOG: Lines(run.events), **{f"metrics/{name}.bin": Table(run, name) for name in TABLES}}


def shuffled(data: bytes, width: int) -> bytes:
    """Rows of `width` bytes, first byte by first byte and so on: alike bytes stand together, and pack far better."""
    return np.frombuffer(data, np.uint8).reshape(-1, width).T.tobytes()


def unshuffled(data: bytes, width: int) -> bytes:
    """The way back. ValueError where these are no whole rows."""
    return np.frombuffer(data, np.uint8).reshape(width, -1).T.tobytes()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read(path: Path, begin: int, end: int) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(begin)
            return file.read(max(0, end - begin))
    except OSError:
        return b""
