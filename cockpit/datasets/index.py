"""What lies in the folders of a large set, kept from one start to the next; a folder that changed is listed anew, alone.

Names in a folder that was listed are added, removed or renamed only with a new time of change of the folder. The index is a
file of names and no more: one that is damaged or says what no listing says is left aside and written anew.
"""

import hashlib
import json
import os
import stat
import time
import zlib
from collections.abc import Iterable
from contextlib import suppress
from itertools import compress
from operator import not_
from pathlib import Path
from typing import NamedTuple

import platformdirs

from cockpit.datasets.pictures import SUFFIXES
from cockpit.runs import private

WORTH = 20_000
"""Names from which on the index is kept: fewer are listed in a moment."""
TICK = 3.0
"""Seconds: a folder that changed so shortly before it was listed may change again without a new time of change."""
MOST = 2**31
"""Bytes of an index that is read."""
KIND = f"cockpit index 1 {' '.join(sorted(SUFFIXES))}"


class Listing(NamedTuple):
    """The names in a folder, less hidden ones: three lists in order, each name ended by a null byte."""

    images: bytes
    others: bytes
    """Other files."""
    folders: bytes


class Stamp(NamedTuple):
    """What is another once the names in a folder are others."""

    mtime: int
    ctime: int
    inode: int


class Index:
    """The listings of a set's folders. Those that still hold are not made again; `save` keeps them for the next start."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))
        self._path = (
            platformdirs.user_cache_path("cockpit") / "folders" / hashlib.sha256(os.fsencode(self.root)).hexdigest()[:32]
        )
        self._old = _read(self._path)
        self._now: dict[str, tuple[Stamp, Listing]] = {}
        self.listed = 0
        """Folders that had to be listed."""

    def of(self, folder: Path) -> Listing:
        """The names in a folder. OSError where it cannot be read."""
        key = os.fspath(folder)
        if key not in self._now:
            seen = folder.stat()  # before the listing: a change during it shows at the next start
            stamp = Stamp(seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino)
            known = self._old.get(key)
            if known is None or known[0] != stamp:
                self.listed += 1
                fresh = time.time() - max(stamp.mtime, stamp.ctime) / 1e9 < TICK
                known = (Stamp(0, 0, 0) if fresh else stamp, _list(key))
            self._now[key] = known
        return self._now[key][1]

    def save(self) -> None:
        """Keep it, if it is large and new; where it cannot be kept, the next start lists again."""
        size = sum(len(part) for _, listing in self._now.values() for part in listing)
        if not self.listed or sum(listing.images.count(b"\0") for _, listing in self._now.values()) < WORTH or size > MOST:
            return
        body = b"".join(part for _, listing in self._now.values() for part in listing)
        folders = [[key, *stamp, *map(len, listing)] for key, (stamp, listing) in self._now.items()]
        head = json.dumps({"kind": KIND, "crc": zlib.crc32(body), "folders": folders}).encode() + b"\n"
        part = self._path.with_name(f"{self._path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        with suppress(OSError):
            self._path.parent.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                private.make_folder(self._path.parent)
            try:
                with open(part, "xb", opener=private.opener) as file:
                    file.write(head + body)
                os.replace(part, self._path)
            finally:
                part.unlink(missing_ok=True)


def _list(folder: str) -> Listing:
    files: list[str] = []
    folders: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:  # most systems say of what kind an entry is without being asked for each
            if not entry.name.startswith("."):
                (folders if entry.is_dir() else files).append(entry.name)
    files.sort()
    shown = [name[name.rfind(".") :].lower() in SUFFIXES for name in files]
    return Listing(_ended(compress(files, shown)), _ended(compress(files, map(not_, shown))), _ended(sorted(folders)))


def _ended(names: Iterable[str]) -> bytes:
    return os.fsencode("".join(f"{name}\0" for name in names))


def _read(path: Path) -> dict[str, tuple[Stamp, Listing]]:
    """Folder -> its stamp and listing; empty where the index cannot be believed."""
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(file, "rb") as opened:
            seen = os.fstat(file)
            data = opened.read() if stat.S_ISREG(seen.st_mode) and seen.st_size <= MOST + 2**26 else b""
        end = data.index(b"\n") + 1
        head = json.loads(data[:end])
        if head["kind"] != KIND or head["crc"] != zlib.crc32(memoryview(data)[end:]):
            return {}
        found = {}
        for key, mtime, ctime, inode, *lengths in head["folders"]:
            parts = []
            for length in lengths:
                parts.append(data[end : end + length])
                end += len(parts[-1])
            if len(parts) != 3 or not all(_names(part) for part in parts):
                return {}
            found[str(key)] = Stamp(mtime, ctime, inode), Listing(*parts)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}
    return found if end == len(data) else {}


def _names(part: bytes) -> bool:
    """Whether a list holds only names that lead nowhere but into their folder."""
    whole = not part or part.endswith(b"\0")
    return whole and b"/" not in part and b"\0\0" not in part and b"\0." not in part and part[:1] not in (b".", b"\0")
