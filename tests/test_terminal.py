"""The real application in a pseudo-terminal: open, start by key, detach while it trains, attach again, see the summary."""

import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cockpit.runs.directory import RunDir, list_runs
from cockpit.runs.history import RunReader
from cockpit.runs.state import LIVE

pty = pytest.importorskip("pty", reason="pseudo-terminals are a matter of Unix")

PATIENCE = 120
"""Seconds after which something never comes; far more than any machine needs."""


class Terminal:
    """The application as a child on a terminal of 160x48."""

    def __init__(self, *arguments: str) -> None:
        self.seen = b""
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            size = {"TERM": "xterm-256color", "LINES": "48", "COLUMNS": "160", "PYTHONUTF8": "1"}
            os.execve(sys.executable, [sys.executable, "-m", "cockpit", *arguments], os.environ | size)

    def _read(self) -> None:
        if select.select([self.file], [], [], 0.1)[0]:
            with suppress(OSError):  # Linux says so where the child has closed its end
                self.seen += os.read(self.file, 65536)

    def until(self, text: str) -> None:
        """Read on to a text, and forget what came up to then."""
        wait_for(lambda: self._read() or text.encode() in self.seen, f"{text!r} on the screen")
        self.seen = self.seen.partition(text.encode())[2]

    def press(self, key: str) -> None:
        """Send a key."""
        os.write(self.file, key.encode())

    def status(self) -> int:
        """Wait for the child's end; its exit status."""
        ended: list[int] = []

        def over() -> bool:
            self._read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            ended.extend([os.waitstatus_to_exitcode(status)] if pid else [])
            return bool(ended)

        wait_for(over, "the end of the application")
        self.pid = 0
        return ended[0]


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    opened = Terminal(*arguments)
    try:
        yield opened
    finally:
        if opened.pid:
            os.kill(opened.pid, 9)
            os.waitpid(opened.pid, 0)
        os.close(opened.file)


def wait_for(holds: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.01)


def state(run: RunDir) -> str:
    reader = RunReader(run)
    reader.poll()
    return reader.state


def test_a_run_outlives_the_screen_it_was_started_from(runs: Path) -> None:
    with terminal("first_flight", "--set", "train.epochs=10") as screen:
        screen.until("ready")
        screen.press("r")
        screen.until("starting")
        screen.until("training")
        screen.press("d")
        assert screen.status() == 0
    (run,) = list_runs(runs)
    wait_for(lambda: state(run) not in LIVE, "the end of the run")
    assert state(run) == "finished"
    with terminal("attach", run.id) as screen:
        screen.until("finished")
        screen.until("val accuracy")
        screen.press("q")
        assert screen.status() == 0
