"""A program on a pseudo-terminal that is read and never looked at. Needs no torch."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil

ROWS, COLUMNS = 48, 160
ASKS, ANSWER = b"\033[?2026$p", b"\033[?2026;2$y"
"""Whether the terminal takes frames whole, as most do today, and that it does; ..."""
FRAME = b"\033[?2026h"
"""... each frame then begins with this."""


@dataclass(frozen=True)
class Tally:
    """What a program has cost since it began."""

    at: float
    bytes: int
    frames: int
    cpu: float
    """Seconds of all its threads, those of children left out."""


class Terminal:
    """Starts a program on a terminal of 160x48; a thread reads what it writes."""

    def __init__(self, command: Sequence[str], *, nice: int = 0, **environment: str) -> None:
        self.begun = time.perf_counter()
        self._file, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        around = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor", **environment}
        command = ["nice", f"-n{nice}", *command] if nice else command
        self._process = subprocess.Popen(
            command, stdin=inside, stdout=inside, stderr=inside, env=around, start_new_session=True, close_fds=True
        )
        os.close(inside)
        self._own = psutil.Process(self._process.pid)
        self._bytes = self._frames = 0
        self._seen = b""
        self._wanted, self._came, self._moment = b"", threading.Event(), 0.0
        self._thread = threading.Thread(target=self._read, name="terminal", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        """Until the program leaves."""
        with suppress(OSError):
            while select.select([self._file], [], [])[0] and (data := os.read(self._file, 65536)):
                self._bytes += len(data)
                self._frames += data.count(FRAME)
                if ASKS in data:
                    os.write(self._file, ANSWER)
                self._seen = (self._seen + data)[-200_000:]
                if self._wanted and self._wanted in self._seen and not self._came.is_set():
                    self._moment = time.perf_counter()
                    self._came.set()

    def until(self, text: bytes, patience: float = 60) -> float:
        """Seconds from the start until a text was written; TimeoutError where it never is. One at a time."""
        self._came.clear()
        self._wanted = text
        if text in self._seen:
            self._moment = time.perf_counter()
            self._came.set()
        if not self._came.wait(patience):
            raise TimeoutError(f"{text!r} never came")
        return self._moment - self.begun

    def tally(self) -> Tally:
        """What it has cost so far."""
        cpu = self._own.cpu_times()
        return Tally(time.perf_counter(), self._bytes, self._frames, cpu.user + cpu.system)

    def stop(self) -> None:
        """Let the program stand still."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it work again."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the program."""
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        self._thread.join(timeout=1)
        os.close(self._file)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
