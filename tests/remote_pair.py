"""A feed and a mirror in this process, with the wire between them in the test's hands."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cockpit.remote.feed import Feed
from cockpit.remote.files import GROWING
from cockpit.remote.mirror import Mirror
from cockpit.remote.wire import Frame, Inlet, packed
from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir, create
from cockpit.runs.log import LineWriter
from cockpit.runs.state import beat
from cockpit.runs.tables import LAYERS, STEPS, Rows, TableWriter, blank, read_table, write_table


class Far:
    """A run directory, written as a host writes it."""

    def __init__(self, root: Path) -> None:
        self.run = create(root, "far", "seed: 0\n", {})
        self._lines = LineWriter(self.run.events)
        self._draw = np.random.default_rng(0)
        self.say(ev.Launched(pid=1, host="there"))

    def say(self, event: ev.Event) -> None:
        self._lines.append(ev.encode(event))

    def steps(self, first: int, last: int) -> None:
        """Train from one step to another."""
        rows = blank(last - first + 1, STEPS)
        rows["step"] = np.arange(first, last + 1)
        for name in ("loss", "accuracy", "time"):
            rows[name] = self._draw.random(len(rows))
        writer = TableWriter(self.run.table("steps"), STEPS)
        writer.append(rows)
        writer.close()

    def layers(self, rows: Rows) -> None:
        writer = TableWriter(self.run.table("layers"), LAYERS)
        writer.append(rows)
        writer.close()

    def back_to(self, step: int) -> None:
        """Go back to a checkpoint."""
        rows = read_table(self.run.table("steps"), STEPS)
        write_table(self.run.table("steps"), np.asarray(rows)[rows["step"] <= step])
        self.say(ev.Resumed(step=step, checkpoint="last"))

    def beat(self, state: Any = "running", step: int = 0) -> None:
        beat(self.run.heartbeat, state, step)


class Connection:
    """One connection between a run and a mirror."""

    def __init__(self, run: RunDir, mirror: Mirror, *, read_only: bool = False) -> None:
        self.mirror, self.heard, self.came = mirror, [], 0
        self._inlet, self._lock = Inlet(), threading.Lock()
        self._out, self._in = os.pipe()[::-1]
        self._feed = Feed(run, self._write, read_only=read_only)
        self._thread = threading.Thread(target=self._feed.serve, args=(lambda most: os.read(self._in, most),), daemon=True)
        self._thread.start()
        self.speak("have", files=mirror.have())

    def _write(self, data: bytes) -> None:
        with self._lock:
            self.came += len(data)
            for frame in self._inlet.feed(data):
                self.heard.append(frame)
                if frame.kind not in ("took", "refused"):
                    self.mirror.take(frame)

    def speak(self, kind: str, **said: Any) -> None:
        os.write(self._out, packed(kind, **said))

    def until(self, holds: Callable[[], object]) -> None:
        end = time.monotonic() + 60
        while True:
            with self._lock:
                if holds():
                    return
            assert time.monotonic() < end and self._thread.is_alive(), [frame.kind for frame in self.heard]
            time.sleep(0.01)

    def last(self, kind: str) -> Frame:
        return next(frame for frame in reversed(self.heard) if frame.kind == kind)

    def count(self, kind: str) -> int:
        return sum(frame.kind == kind for frame in self.heard)

    def looks(self, more: int = 2) -> None:
        """Wait for so many looks from now on."""
        seen = self.count("pulse")
        self.until(lambda: self.count("pulse") >= seen + more)

    def ended(self) -> None:
        self._thread.join()

    def close(self) -> None:
        if self._out >= 0:
            os.close(self._out)
            self._thread.join()
            os.close(self._in)
        self._out = -1


def same(run: RunDir, mirror: Mirror) -> bool:
    """Whether everything that grows is the same here and there, byte for byte."""
    assert mirror.run
    here, there = mirror.run.path, run.path
    names = [name for name in ("recipe.yaml", *GROWING) if (there / name).exists()]
    return all((here / name).exists() and (here / name).read_bytes() == (there / name).read_bytes() for name in names)
