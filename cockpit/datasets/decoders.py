"""The processes that decode image files ahead, seen from the one that they work for."""

import os
import socket
import subprocess
import sys
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait

from cockpit.datasets.base import DataError
from cockpit.datasets.slots import Slots
from cockpit.datasets.words import printable

DEEP = 32
"""Requests that lie in a process's pipe at once: it goes on while the training computes, and the pipe never fills up."""
DEATHS = 5
"""So many deaths without a single answer between them are no accident."""

Request = tuple[int, int, tuple[str, ...]]
"""Slot, first image in it, file names."""


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    wire: Connection
    asked: dict[int, Request] = field(default_factory=dict)
    """By slot, in the order of asking."""


class Decoders:
    """Decode files into slots. They start with the first request, and end with this object or this process, however it ends."""

    def __init__(self, shape: tuple[int, ...], count: int) -> None:
        self.shape, self.count = shape, count
        self.slots = Slots(shape)
        self.news: list[str] = []
        """What the user should know."""
        self._workers: list[_Worker] = []
        self._waiting: list[Request] = []
        self._done: dict[int, list[tuple[int, str]]] = {}
        self._dropped: set[int] = set()
        """Slots that nobody waits for any more, and that a process may still write to."""
        self._deaths = 0
        weakref.finalize(self, _end, self._workers)

    def ask(self, slot: int, first: int, names: Iterable[str]) -> None:
        """Decode these files into a slot, beginning with its image `first`. Returns at once. Raises DataError."""
        self._waiting.append((slot, first, tuple(names)))
        self.pump()

    def finish(self, slot: int) -> list[tuple[int, str]]:
        """Wait until a slot is filled; the images of it that cannot be read, and why. Raises DataError."""
        while slot not in self._done:
            self.pump(None)
        return self._done.pop(slot)

    def drop(self, slot: int) -> None:
        """Nobody wants what was asked for: the slot is free as soon as no process writes to it."""
        waiting = [request for request in self._waiting if request[0] != slot]
        if self._done.pop(slot, None) is not None or len(waiting) < len(self._waiting):
            self.slots.free.append(slot)
        else:
            self._dropped.add(slot)
        self._waiting = waiting

    def pump(self, timeout: float | None = 0) -> None:
        """Take what is done and hand out what is to do. None: wait until something is done. Raises DataError."""
        self._hand_out()
        for wire in wait([worker.wire for worker in self._workers], timeout):
            worker = next(each for each in self._workers if each.wire is wire)
            try:
                while worker.wire.poll():
                    slot, broken = worker.wire.recv()
                    del worker.asked[slot]
                    self._done[slot] = broken
                    self._deaths = 0
                    self._let_go(slot)
            except (EOFError, OSError):
                self._replace(worker)
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting:
            if len(self._workers) < self.count:
                self._workers.append(self._start())
            worker = min(self._workers, key=lambda each: len(each.asked))
            if len(worker.asked) >= DEEP:
                return
            request = self._waiting.pop(0)
            worker.asked[request[0]] = request
            try:
                worker.wire.send(request)
            except OSError:
                self._replace(worker)

    def _start(self) -> _Worker:
        ours, theirs = socket.socketpair()
        file, shape = self.slots.file, self.slots.images.shape
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "cockpit.datasets.decoder", *map(str, (theirs.fileno(), file, *shape))],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), file),
                start_new_session=True,  # signals of the terminal do not reach it
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        return _Worker(process, Connection(ours.detach()))

    def _replace(self, dead: _Worker) -> None:
        """Give what one was asked for to another."""
        self._workers.remove(dead)
        _end([dead])
        self._deaths += 1
        first = next(iter(dead.asked.values()), None)
        if self._deaths >= DEATHS:
            where = f" near {printable(first[2][0])}" if first else ""
            raise DataError(f"the processes that decode images end again and again{where}: code {dead.process.returncode}")
        self.news.append("a process that decodes images ended unexpectedly; another took its place")
        self._waiting[:0] = [request for slot, request in dead.asked.items() if not self._let_go(slot)]

    def _let_go(self, slot: int) -> bool:
        """Free a slot that nobody waits for, now that no process writes to it."""
        if slot not in self._dropped:
            return False
        self._dropped.discard(slot)
        self._done.pop(slot, None)
        self.slots.free.append(slot)
        return True


def _end(workers: Sequence[_Worker]) -> None:
    """Close their pipes, which ends them, and wait for that."""
    for worker in workers:
        worker.wire.close()
    for worker in workers:
        try:
            worker.process.wait(1)
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
