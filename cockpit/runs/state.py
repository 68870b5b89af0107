"""Truthful states: what a run's events and heartbeat, and the process table, together prove."""

import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from cockpit.runs.directory import RunDir

State = Literal["new", "starting", "running", "paused", "finished", "stopped", "interrupted", "failed", "lost"]
LIVE: tuple[State, ...] = ("new", "starting", "running", "paused")
STALE_SECONDS = 30.0
"""A host on another machine that has been silent for so long is lost."""


@dataclass(frozen=True)
class Heartbeat:
    """Who owns a run. The process's birth guards against a process id that the system used again."""

    pid: int
    born: float
    host: str
    time: float
    state: State
    step: int = 0


def beat(path: Path, state: State, step: int) -> None:
    """Write this process's heartbeat, whole."""
    import psutil  # late: the first frame of a list of runs has no use for it

    process = psutil.Process()
    record = Heartbeat(process.pid, process.create_time(), socket.gethostname(), time.time(), state, step)
    part = path.with_name(".heartbeat.part")
    part.write_text(json.dumps(asdict(record)), encoding="utf-8")
    os.replace(part, path)


def read_heartbeat(path: Path) -> Heartbeat | None:
    """The last heartbeat; None where there is none that can be read."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        numbers = int(raw["pid"]), float(raw["born"]), str(raw["host"]), float(raw["time"])
        pulse = Heartbeat(*numbers, raw["state"], int(raw["step"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return pulse if pulse.state in get_args(State) and pulse.pid > 0 else None


def alive(pulse: Heartbeat) -> bool:
    """Whether the process behind a heartbeat still runs."""
    if pulse.host != socket.gethostname():
        return time.time() - pulse.time < STALE_SECONDS
    import psutil

    try:
        process = psutil.Process(pulse.pid)
        return abs(process.create_time() - pulse.born) < 2 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def state_of(run: RunDir, ended: str = "") -> State:
    """The state of a run. `ended` is the state of its last `ended` event, if no host took the run after it."""
    if ended:
        return ended  # type: ignore[return-value]
    pulse = read_heartbeat(run.heartbeat)
    if pulse is None:
        # The host needs a moment from its birth to its first heartbeat.
        try:
            return "new" if time.time() - run.recipe.stat().st_mtime < STALE_SECONDS else "lost"
        except OSError:  # the directory was removed
            return "lost"
    return pulse.state if alive(pulse) else "lost"
