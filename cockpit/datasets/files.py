"""A million files without a million objects: their names as one run of bytes."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Paths(Sequence[Path]):
    """The paths of files in a few folders, made when they are asked for."""

    folders: tuple[Path, ...]
    names: bytes = field(repr=False)
    """Of all files, each ended by a null byte."""
    begin: NDArray[np.int64] = field(repr=False)
    """(N,) Where the name of each begins."""
    owner: NDArray[np.int32] = field(repr=False)
    """(N,) Index of its folder."""

    @classmethod
    def of(cls, listed: Iterable[tuple[Path, bytes]]) -> "Paths":
        """Of folders, each with the names in it."""
        folders, parts = zip(*listed, strict=True)
        names = b"".join(parts)
        ends = np.flatnonzero(np.frombuffer(names, np.uint8) == 0)
        begin = np.append(0, ends[:-1] + 1) if len(ends) else ends
        owner = np.repeat(np.arange(len(parts), dtype=np.int32), [part.count(b"\0") for part in parts])
        return cls(folders, names, begin.astype(np.int64), owner)

    def __len__(self) -> int:
        return len(self.begin)

    @overload
    def __getitem__(self, place: int) -> Path: ...
    @overload
    def __getitem__(self, place: slice) -> "Paths": ...
    def __getitem__(self, place: int | slice) -> "Path | Paths":
        return (
            self.pick(place)
            if isinstance(place, slice)
            else self.folders[self.owner[place]] / self._name(int(self.begin[place]))
        )

    def __iter__(self) -> Iterator[Path]:
        return (self.folders[owner] / self._name(begin) for owner, begin in self._places())

    def pick(self, which: NDArray[np.bool_] | NDArray[np.int64] | slice) -> "Paths":
        """Those at some places, or those that are marked."""
        return Paths(self.folders, self.names, self.begin[which], self.owner[which])

    def under(self, folder: Path) -> Iterator[str]:
        """Their names as seen from a folder above all of them, with /."""
        above = [each.relative_to(folder).as_posix() + "/" for each in self.folders]
        return (above[owner] + self._name(begin) for owner, begin in self._places())

    def _places(self) -> Iterator[tuple[int, int]]:
        return zip(self.owner.tolist(), self.begin.tolist(), strict=True)

    def _name(self, begin: int) -> str:
        return os.fsdecode(self.names[begin : self.names.index(0, begin)])
