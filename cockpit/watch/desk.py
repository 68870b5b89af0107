"""The thread beside a watched loop: it beats, so that every reader knows the run is alive, and reads the mailbox."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir
from cockpit.runs.mailbox import Command, Refused, take
from cockpit.runs.state import State, beat

POLL = 0.1
"""Seconds between two looks into the mailbox."""


def launched() -> ev.Launched:
    """The first event of a watched run."""
    versions = {"python": sys.version.split()[0]}
    for name in ("training-cockpit", "torch", "numpy"):
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return ev.Launched(pid=os.getpid(), host=socket.gethostname(), versions=versions, command=sys.argv)


class Desk:
    """Owns the heartbeat and the mailbox from `open` to `close`. The loop's own thread obeys."""

    def __init__(self, run: RunDir, step: Callable[[], int]) -> None:
        self.run = run
        self.state: State = "starting"
        self.waiting: deque[Command | Refused] = deque()
        self.gone = False
        """Somebody removed the run directory."""
        self.bell = threading.Event()
        self._step = step
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="cockpit", daemon=True)
        self._lock = -1

    def open(self) -> None:
        """Claim the run and begin to beat."""
        self._lock = os.open(self.run.claim, os.O_RDWR | os.O_CREAT, 0o600)
        with suppress(ImportError, OSError):  # where there are no locks, the heartbeat alone tells
            import fcntl

            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._beat()
        self._thread.start()

    def close(self) -> None:
        """The last event is written: let go of the run."""
        self._leave.set()
        self._thread.join(timeout=2)
        os.close(self._lock)

    def _serve(self) -> None:
        beaten, said = time.monotonic(), self.state
        while not self._leave.wait(POLL):
            with suppress(OSError):
                for command in take(self.run.mailbox):
                    if isinstance(command, Refused):
                        print(f"cockpit: refused: {command}", file=sys.stderr, flush=True)
                    self.waiting.append(command)
                    self.bell.set()
            self.look()
            if time.monotonic() - beaten > 1.0 or self.state != said:
                beaten, said = time.monotonic(), self.state
                self._beat()

    def look(self) -> bool:
        """Whether the run directory is gone."""
        try:
            self.run.events.stat()
        except (FileNotFoundError, NotADirectoryError):
            self.gone = True
            self.bell.set()
        except OSError:  # a file system that has a bad moment
            pass
        return self.gone

    def _beat(self) -> None:
        with suppress(OSError):  # a full disk; the next beat tries again
            beat(self.run.heartbeat, self.state, self._step())
