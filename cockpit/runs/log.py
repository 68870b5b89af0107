"""Append-only files of JSON lines: the event log and the ledger."""

import errno
import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from cockpit.runs.notices import one_line


class LineWriter:
    """Appends lines whole; a line torn by a crash is cut off when the file is opened again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        self._mend()

    def _mend(self) -> None:
        size = os.fstat(self._fd).st_size
        end = size
        while end:
            start = max(0, end - 65536)
            at = os.pread(self._fd, end - start, start).rfind(b"\n")
            if at >= 0:
                end = start + at + 1
                break
            end = start
        if end < size:
            os.ftruncate(self._fd, end)

    def append(self, line: str) -> None:
        """Write one line in one call. OSError when the disk is full; then nothing of it counts."""
        size = os.fstat(self._fd).st_size
        data = line.encode() + b"\n"
        try:
            if os.write(self._fd, data) != len(data):
                raise OSError(errno.ENOSPC, "the disk took only part of the line")
        except OSError as error:
            os.ftruncate(self._fd, size)
            raise OSError(error.errno, error.strerror, str(self._path)) from error

    def flush(self) -> None:
        """Wait until the disk has every line."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def _plain(path: str, flags: int) -> int:
    """Open a file, and nothing that reading would wait for or never come to an end of: another may have put it there."""
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "no plain file")
    return handle


class LineReader:
    """Follows a file of lines: each `read` returns the whole lines that came since the last; none where it cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> list[str]:
        """New whole lines; a torn last line waits until it is whole."""
        return list(self.follow())

    def follow(self) -> Iterator[str]:
        """The same, one after the other: a long log need not lie in the memory at once. Those that were not asked for wait."""
        try:
            with open(self._path, "rb", opener=_plain) as file:
                file.seek(self._offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        return
                    self._offset += len(line)
                    yield line[:-1].decode("utf-8", "replace")
        except OSError:
            return


def flush(path: Path) -> None:
    """Wait until the disk has a file or the names in a folder, as far as its file system can say so."""
    with suppress(OSError):  # some file systems do this to no folder
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def complain(text: str) -> None:
    """Say something on the standard error, which may be a file on a disk that is full."""
    with suppress(OSError, ValueError):
        print(one_line(f"cockpit: {text}"), file=sys.stderr, flush=True)


def append_json(path: Path, record: dict[str, Any]) -> None:
    """Append one record to a file of JSON lines and flush it to the disk."""
    writer = LineWriter(path)
    try:
        writer.append(json.dumps(record))
        writer.flush()
    finally:
        writer.close()


def read_json(path: Path) -> list[dict[str, Any]]:
    """Every record of a file of JSON lines that can be read."""
    records = []
    for line in LineReader(path).read():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records
