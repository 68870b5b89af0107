"""Images that do not lie on the device: made ahead in the order of the coming batches, or when they are asked for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cockpit.engine.lines import Images, Line, Mine, Plan

Then = Callable[[], Sequence[Tensor]]
"""The batches that come after those at hand."""
RESERVE = 4
"""One slot of so many is kept for images that nobody announced."""


class Stream:
    """One split. Only the training thread asks it for images."""

    def __init__(self, images: Images, device: torch.device) -> None:
        self.images, self._device, self._slots = images, device, images.slots
        self._memory = torch.from_numpy(self._slots.images)
        self._lines: dict[int, Line] = {}
        """By the identity of the tensor whose parts are asked for."""
        self._heir: Line | None = None
        """What comes after the order at hand, begun before anybody asks for it."""
        self._waited = 0.0
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._leaving: deque[tuple[torch.cuda.Event, list[int]]] = deque()
        """Slots that the GPU may still be copying from."""
        if self._copies:
            _pin(images)

    def take_waited(self) -> float:
        """Seconds that somebody stood waiting for images since this was asked last."""
        waited, self._waited = self._waited, 0.0
        return waited

    @contextmanager
    def line(self, order: Tensor, batches: Sequence[Tensor], mine: Mine | None, then: Then | None) -> Iterator[None]:
        """While this is open, parts of `order` (the batches joined, on the device) are made ahead, once a first is asked for.

        `mine`: which part of a batch this process will ask for. `then`: gives the batches that follow.
        """
        plan, heir = _plan(batches, mine), self._heir
        if heir is not None and heir.plan.same(plan):
            line, self._heir = heir, None
        else:
            line = Line(plan, self.images, self._spare)
        line.then = then
        self._lines[id(order)] = line
        try:
            yield
        finally:
            del self._lines[id(order)]
            line.close()

    def gather(self, ids: Tensor) -> Tensor:
        """The images of these places (int64 on the device), as stored, on the device. Raises DataError."""
        line = self._lines.get(id(ids._base)) if ids._base is not None and ids.stride(0) == 1 else None
        if line is not None:
            begin = int(ids.storage_offset())
            found = self._copied(line, begin, begin + len(ids))
            self._ahead(line)
            if found is not None:
                return found
        places = ids.cpu().numpy()
        line = Line(Plan(places, (len(places),)), self.images, self._any)
        try:
            line.top_up(len(self._slots))
            found = self._copied(line, 0, len(places))
        finally:
            line.close()
        assert found is not None
        return found

    def _copied(self, line: Line, begin: int, end: int) -> Tensor | None:
        """None where the line never had them, or has no longer."""
        made = torch.empty((end - begin, *self.images.shape), dtype=self._memory.dtype, device=self._device)
        done: list[int] = []
        at, copies = 0, self._copies
        if copies:
            made.record_stream(copies)
            copies.wait_stream(torch.cuda.current_stream(self._device))  # the memory may have been another tensor's
        try:
            with torch.cuda.stream(copies):
                for slot, first, count, ends in self._timed(line.take(begin, end)):
                    made[at : at + count].copy_(self._memory[slot, first : first + count], non_blocking=True)
                    at += count
                    done += [slot] if ends else []
        except LookupError:
            made = None  # type: ignore[assignment]
        self._leave(done)
        return made

    def _timed(self, parts: Iterator[tuple[int, int, int, bool]]) -> Iterator[tuple[int, int, int, bool]]:
        while True:
            began = time.perf_counter()
            part = next(parts, None)
            self._waited += time.perf_counter() - began
            if part is None:
                return
            yield part

    def _leave(self, slots: list[int]) -> None:
        """Free these as soon as nothing reads them; what is computed next waits for the copies."""
        if not self._copies:
            self._slots.free.extend(slots)
            return
        event = torch.cuda.Event()
        event.record(self._copies)
        torch.cuda.current_stream(self._device).wait_event(event)
        self._leaving.append((event, slots))

    def _ahead(self, line: Line) -> None:
        """Make more of what comes next: the rest of this order, and the beginning of the one after it."""
        line.top_up(line.depth)
        if not line.exhausted or line.then is None:
            return
        if line.heir is None:
            if not (batches := line.then()):
                line.then = None
                return
            if self._heir is not None:
                self._heir.close()
            line.heir = self._heir = Line(_plan(batches, line.plan.mine), self.images, self._spare)
        if line.heir is self._heir:
            line.heir.top_up(line.depth - len(line))

    def _spare(self, must: bool) -> int | None:
        """A free slot; where it need not be, only while there are plenty."""
        free = self._slots.free
        while self._leaving and (self._leaving[0][0].query() or (must and not free)):
            event, slots = self._leaving.popleft()
            event.synchronize()
            free.extend(slots)
        return free.pop() if len(free) > (0 if must else len(self._slots) // RESERVE) else None

    def _any(self, must: bool) -> int | None:
        """A free slot, for images that somebody waits for."""
        return self._spare(True) if must or self._slots.free else None


def _plan(batches: Sequence[Tensor], mine: Mine | None) -> Plan:
    order: NDArray[np.int64] = torch.cat(tuple(batches)).numpy() if batches else np.empty(0, np.int64)
    return Plan(order, tuple(map(len, batches)), mine)


def _pin(images: Images) -> None:
    """Let the GPU copy from the slots by itself; where it may not, copies are only slower."""
    slots = images.slots
    if not slots.pinned:
        slots.pinned = int(torch.cuda.cudart().cudaHostRegister(slots.images.ctypes.data, slots.images.nbytes, 0)) == 0
