"""A program on a pseudo-terminal: what it shows, how many bytes it takes for that, and what it costs the processor."""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from screening.glass import Glass

COCKPIT = (sys.executable, "-m", "cockpit")
WIDE = (160, 48)
BURST = 0.08
"""Seconds of silence that part two frames."""


class Terminal:
    """A program on a terminal of some size (columns, rows)."""

    def __init__(self, *command: str, size: tuple[int, int] = WIDE) -> None:
        self.glass = Glass(*size)
        self.bytes = self.frames = 0
        self._came = 0.0
        self.begun = time.perf_counter()
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", *reversed(size), 0, 0))
            os.execve(sys.executable, [*command], os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"})
        self.process = psutil.Process(self.pid)

    def read(self, seconds: float, most: int = 65536) -> int:
        """Show what comes next, at the latest after so long; how many bytes that was."""
        if not select.select([self.file], [], [], max(seconds, 0))[0]:
            return 0
        try:
            data = os.read(self.file, most)
        except OSError:  # the program left
            return 0
        now = time.perf_counter()
        self.frames += now - self._came > BURST
        self._came = now
        self.bytes += len(data)
        self.glass.feed(data)
        return len(data)

    def until(self, text: str, seconds: float = 60) -> float:
        """Read on until a text stands on the screen; the moment it came."""
        end = time.perf_counter() + seconds
        while text not in self.glass.text:
            self.read(end - time.perf_counter())
            if time.perf_counter() > end:
                raise TimeoutError(f"{text!r} never came; the screen shows:\n{self.glass.text}")
        return time.perf_counter()

    def idle(self, seconds: float) -> None:
        """Read for so long."""
        watch([self], seconds)

    def press(self, key: bytes) -> float:
        """Send a key; the moment it left."""
        os.write(self.file, key)
        return time.perf_counter()

    @property
    def cpu(self) -> float:
        """Seconds of processor that the program has taken."""
        spent = self.process.cpu_times()
        return spent.user + spent.system

    def close(self) -> None:
        """Close the terminal, as a user may."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)
            os.kill(self.pid, signal.SIGHUP)
        os.close(self.file)
        os.waitpid(self.pid, 0)


def watch(terminals: list[Terminal], seconds: float) -> None:
    """Read several for so long."""
    end = time.perf_counter() + seconds
    by_file = {terminal.file: terminal for terminal in terminals}
    while (left := end - time.perf_counter()) > 0:
        for file in select.select(list(by_file), [], [], left)[0]:
            if not by_file[file].read(0):
                time.sleep(0.01)  # the program left


@contextmanager
def terminal(*command: str, size: tuple[int, int] = WIDE) -> Iterator[Terminal]:
    """A program on a terminal that is closed at the end."""
    opened = Terminal(*command, size=size)
    try:
        yield opened
    finally:
        opened.close()
