"""Batches in the order in which they will be asked for, and what is made of them ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cockpit.datasets.slots import Slots

Mine = Callable[[int, int], slice]
"""(number of a batch, its images) -> the part of it that this process will ask for."""


class Images(Protocol):
    """Where a split's images come from."""

    @property
    def slots(self) -> Slots:
        """Where they come to lie."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W)"""

    @property
    def news(self) -> list[str]:
        """What the user should know."""

    @property
    def busy(self) -> int:
        """Slots that are filled at once."""

    @property
    def words(self) -> str:
        """Where they come from, for the screen."""

    def begin(self, slot: int, places: NDArray[np.int64]) -> None:
        """Have images put into a slot; returns at once."""

    def finish(self, slot: int) -> None:
        """Wait for them."""

    def drop(self, slot: int) -> None:
        """Nobody wants them; the slot becomes free."""

    def ready(self) -> None:
        """Hand out more work, without waiting."""


class Plan(NamedTuple):
    """What will be asked for."""

    order: NDArray[np.int64]
    """Places, batch after batch."""
    lengths: tuple[int, ...]
    """Images in each batch."""
    mine: Mine | None = None

    def chunks(self, size: int) -> Iterator[tuple[int, int]]:
        """[begin, end) in the order, at most so many images each; none crosses from one batch to the next."""
        at = 0
        for number, length in enumerate(self.lengths):
            part = range(length)[self.mine(number, length) if self.mine else slice(None)]
            for begin in range(at + part.start, at + part.stop, size):
                yield begin, min(begin + size, at + part.stop)
            at += length

    def same(self, other: Plan) -> bool:
        """Whether both ask for the same."""
        return self.lengths == other.lengths and np.array_equal(self.order, other.order)


@dataclass
class _Chunk:
    begin: int
    end: int
    slot: int
    finished: bool = False


@dataclass
class Line:
    """One order, and the images of it that are being made. `spare` gives a slot: always, or where there are plenty."""

    plan: Plan
    images: Images
    spare: Callable[[bool], int | None]
    then: Callable[[], Sequence[Tensor]] | None = None
    """The batches that come after it."""
    heir: Line | None = None
    """What was made of those."""
    _coming: Iterator[tuple[int, int]] = field(init=False)
    _made: deque[_Chunk] = field(default_factory=deque, init=False)
    exhausted: bool = field(default=False, init=False)
    """Whether all of it has been begun."""

    def __post_init__(self) -> None:
        self._coming = self.plan.chunks(self.images.slots.chunk)

    def __len__(self) -> int:
        return len(self._made)

    @property
    def depth(self) -> int:
        """Chunks that are made ahead: four batches, and four for each of those that make them, as far as there is room."""
        batch = max(self.plan.lengths) / self.images.slots.chunk
        return min(len(self.images.slots) // 2, max(4 * self.images.busy, round(4 * batch) + 1))

    def top_up(self, most: int) -> None:
        """Begin what comes next, until so many chunks are on their way."""
        while len(self._made) < most and not self.exhausted and (slot := self.spare(False)) is not None:
            self._begin(slot, 0)
        self.images.ready()

    def _begin(self, slot: int, after: int) -> None:
        """Begin the next chunk that ends after a place."""
        begin, end = next((chunk for chunk in self._coming if chunk[1] > after), (0, 0))
        if not end:
            self.exhausted = True
            self.images.slots.free.append(slot)
            return
        self._made.append(_Chunk(begin, end, slot))
        self.images.begin(slot, self.plan.order[begin:end])

    def take(self, begin: int, end: int) -> Iterator[tuple[int, int, int, bool]]:
        """The images [begin, end): slot, the first in it, their number, and whether the slot is done with then."""
        self.skip(begin)
        while begin < end:
            if not self._made and not self.exhausted:
                slot = self.spare(True)
                assert slot is not None
                self._begin(slot, begin)
                continue
            chunk = self._made[0] if self._made else None
            if chunk is None or chunk.begin > begin:
                raise LookupError(begin)
            if not chunk.finished:
                self.images.finish(chunk.slot)
                chunk.finished = True
            upto = min(end, chunk.end)
            yield chunk.slot, begin - chunk.begin, upto - begin, upto == chunk.end
            if upto == chunk.end:
                self._made.popleft()
            begin = upto

    def skip(self, begin: int) -> None:
        """Let go of what lies before a place: it is not wanted any more."""
        while self._made and self._made[0].end <= begin:
            self._let_go(self._made.popleft())

    def _let_go(self, chunk: _Chunk) -> None:
        if chunk.finished:
            self.images.slots.free.append(chunk.slot)
        else:
            self.images.drop(chunk.slot)

    def close(self) -> None:
        """Let go of everything."""
        self.exhausted = True
        while self._made:
            self._let_go(self._made.popleft())
