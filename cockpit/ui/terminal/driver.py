"""Textual's driver for Unix, with the cells that changed in place of whole widgets, and at the pace of the terminal.

A terminal that does not take what it is sent (a slow line, a stopped multiplexer) holds up Textual: its queue fills, and the
loop that answers keys waits. Here at most one piece is on its way; what came meanwhile is drawn over, and the next piece is
the difference to what stands there by then.
"""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, Any

from textual import events
from textual._ansi_sequences import SYNC_END, SYNC_START
from textual.drivers.linux_driver import LinuxDriver

from cockpit.ui.terminal.grid import Grid

if TYPE_CHECKING:
    from textual.message import Message

FRAME = re.compile(r"\x1b\[\d+;\d+H")
"""What a frame begins with: the place of its first text."""
MOST, LEAST = 65536, 1024
"""Characters of a piece: to a quick terminal, and to the slowest."""
SLOW = 0.1
"""Seconds; a terminal that takes so long over a piece gets shorter ones, and a rest after each."""
REST = 2
"""Such a rest, in times of what the piece took: whatever lies between here and the terminal empties by and by."""
URGENT = 1.0
"""Seconds after a key in which there is no rest."""


class PacedDriver(LinuxDriver):
    """Sends differences, one piece at a time."""

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        self._grid, self._lock = Grid(), threading.Lock()
        self._kept = ""
        """What is no frame and waits: modes of the terminal, the bell."""
        self._sync = self._under_way = self._closing = False
        self._piece, self._resting, self._urgent = MOST, 0.0, 0.0
        self._file: Any = _Outlet(self._file, self._wrote)

    def write(self, data: str) -> None:
        """Take a frame, or something else for the terminal, from whichever thread; this never waits for the terminal."""
        with self._lock:
            if data in (SYNC_START, SYNC_END):
                self._sync = True
                return
            if not FRAME.match(data) or not self._grid.take(data):
                self._kept += data
        self._send()

    def forget(self, width: int, height: int) -> None:
        """Whatever was sent may be gone: send all of it again."""
        with self._lock:
            self._grid.forget(width, height)
        self._send()

    def _send(self) -> None:
        """Put the next piece on its way, unless one is."""
        with self._lock:
            piece = "" if self._under_way else self._next()
            self._under_way = self._under_way or bool(piece)
        if piece and self._writer_thread:
            self._writer_thread.write(piece)

    def _next(self) -> str:
        """The next piece."""
        said, self._kept = self._kept, ""
        if self._closing or self._urgent < time.monotonic() < self._resting:
            return said
        frame = self._grid.delta(self._piece)
        return said + (SYNC_START + frame + SYNC_END if frame and self._sync else frame)

    def _wrote(self, took: float) -> str:
        """In the thread that writes, after a piece that took so many seconds: the next one."""
        with self._lock:
            self._piece = max(LEAST, self._piece // 2) if took > SLOW else min(MOST, self._piece * 2)
            if took > SLOW:
                self._resting = time.monotonic() + REST * took
                self._loop.call_soon_threadsafe(self._loop.call_later, REST * took, self._send)
            piece = self._next()
            self._under_way = bool(piece)
        return piece

    def process_message(self, message: Message) -> None:
        """Answers to keys and clicks do not wait until a slow terminal has rested."""
        if isinstance(message, (events.Key, events.MouseDown)):
            self._urgent = time.monotonic() + URGENT
        super().process_message(message)

    def start_application_mode(self) -> None:
        """Begin on a terminal of which nothing is known."""
        with self._lock:
            self._grid.clear()
            self._closing = False
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def stop_application_mode(self) -> None:
        """Leave; of the last frame, nothing more is sent."""
        with self._lock:
            self._closing = True
        super().stop_application_mode()


class _Outlet:
    """The file of the terminal for Textual's thread that writes."""

    def __init__(self, file: Any, wrote: Any) -> None:
        self._file, self._wrote = file, wrote

    def write(self, text: str) -> None:
        """Write, and what has come up meanwhile."""
        while text:
            begun = time.monotonic()
            self._file.write(text)
            self._file.flush()
            text = self._wrote(time.monotonic() - begun)

    def flush(self) -> None:
        """Nothing is left."""

    def fileno(self) -> int:
        """Of the terminal."""
        return int(self._file.fileno())
