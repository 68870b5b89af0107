"""Images that stay in their files until they are wanted."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cockpit.datasets.base import DataError
from cockpit.datasets.decoders import Decoders
from cockpit.datasets.slots import CHUNK, Slots
from cockpit.datasets.words import printable

TRIES = 20
"""Files of a class that may be unreadable in a row."""
NAMED = 3
"""Unreadable files that are named; the others are counted."""


@dataclass
class Listed:
    """Files of one split and their classes. A file that proves unreadable is replaced by the next of its class.

    Reading a million images to find the broken ones before the first step would take as long as an epoch, and leaving them out
    when they are met would make batches of odd sizes. The next readable file of the class depends on nothing but the files.
    """

    paths: Sequence[Path]
    labels: NDArray[np.int64]
    """(N,)"""
    pool: Decoders = field(repr=False)
    _asked: dict[int, Sequence[int]] = field(default_factory=dict, init=False, repr=False)
    """The places that a slot was asked for, by slot."""
    _instead: dict[int, int] = field(default_factory=dict, init=False, repr=False)
    """Place of an unreadable file -> the place of the one that stands for it."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W)"""
        return self.pool.shape

    @property
    def slots(self) -> Slots:
        """Where images come to lie."""
        return self.pool.slots

    @property
    def size(self) -> int:
        """Bytes of all of them, decoded."""
        return len(self) * int(np.prod(self.shape))

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """uint8 (N, C, H, W): all of them, decoded, for those who need them whole. Raises DataError."""
        made = np.empty((len(self), *self.shape), np.uint8)
        for start in range(0, len(self), CHUNK):
            slot, part = self.slots.free.pop(), np.arange(start, min(start + CHUNK, len(self)))
            self.begin(slot, part)
            self.finish(slot)
            made[part] = self.slots.images[slot, : len(part)]
            self.slots.free.append(slot)
        return made

    def where(self, mask: NDArray[np.bool_]) -> Listed:
        """Those that are marked."""
        return Listed([self.paths[place] for place in np.flatnonzero(mask).tolist()], self.labels[mask], self.pool)

    def begin(self, slot: int, places: NDArray[np.int64]) -> None:
        """Have at most a slot's fill of images decoded into it. Raises DataError."""
        self._asked[slot] = places.tolist()
        self.pool.ask(slot, 0, [os.fspath(self.paths[self._instead.get(place, place)]) for place in self._asked[slot]])

    def finish(self, slot: int) -> None:
        """Wait for them. Raises DataError."""
        places = self._asked.pop(slot)
        for at, why in self.pool.finish(slot):
            self._replace(slot, at, places[at], why)

    def drop(self, slot: int) -> None:
        """Nobody wants them any more; the slot becomes free."""
        self._asked.pop(slot, None)
        self.pool.drop(slot)

    def ready(self) -> None:
        """Hand out more work, without waiting. Raises DataError."""
        self.pool.pump()

    @property
    def news(self) -> list[str]:
        """What the user should know."""
        return self.pool.news

    @property
    def busy(self) -> int:
        """Slots that are filled at once."""
        return self.pool.count

    @property
    def words(self) -> str:
        """Where the images come from."""
        return f"from their files by {self.pool.count} process{'es' if self.pool.count > 1 else ''}"

    def read(self, places: Sequence[int]) -> Iterator[tuple[NDArray[np.uint8], list[tuple[int, str]]]]:
        """These images in order, a slot at a time without those that cannot be read, and these: places and reasons."""
        chunks = [places[start : start + CHUNK] for start in range(0, len(places), CHUNK)]
        ahead: list[tuple[int, Sequence[int]]] = []
        while chunks or ahead:
            while chunks and self.slots.free and len(ahead) < len(self.slots) // 2:
                ahead.append((self.slots.free.pop(), chunks.pop(0)))
                self.pool.ask(ahead[-1][0], 0, [os.fspath(self.paths[place]) for place in ahead[-1][1]])
            slot, asked = ahead.pop(0)
            broken = self.pool.finish(slot)
            good = np.ones(len(asked), np.bool_)
            good[[at for at, _ in broken]] = False
            yield self.slots.images[slot, : len(asked)][good], [(asked[at], why) for at, why in broken]  # type: ignore[misc]
            self.slots.free.append(slot)

    def _replace(self, slot: int, at: int, place: int, why: str) -> None:
        """Put the next readable image of its class in the place of one that cannot be read."""
        same = np.flatnonzero(self.labels == self.labels[place])
        after = np.roll(same, -int(np.searchsorted(same, place)) - 1)[:-1]
        for other in after[:TRIES].tolist():
            self.pool.ask(slot, at, [os.fspath(self.paths[other])])
            if not self.pool.finish(slot):
                self._say(place, other, why)
                self._instead[place] = other
                return
        raise DataError(
            f"{printable(self.paths[place])} cannot be read ({why}), nor any of {len(after[:TRIES])} others of its class"
        )

    def _say(self, place: int, other: int, why: str) -> None:
        if place in self._instead:
            return
        count = len(self._instead)
        if count < NAMED:
            names = [printable("/".join(Path(self.paths[each]).parts[-2:])) for each in (place, other)]
            self.pool.news.append(f"{names[0]} cannot be read ({why}); {names[1]} stands for it")
        elif count == NAMED:
            self.pool.news.append("more images cannot be read; the next of their class stand for them too")
