"""Truthful states: what a run's events and heartbeat, and the process table, together prove."""

import json
import math
import os
import socket
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from cockpit.runs.directory import RunDir
from cockpit.runs.private import write_text

State = Literal["new", "starting", "running", "paused", "finished", "stopped", "interrupted", "failed", "lost"]
LIVE: tuple[State, ...] = ("new", "starting", "running", "paused")
STALE_SECONDS = 30.0
"""A host on another machine that has been silent for so long is lost."""


@dataclass(frozen=True)
class Heartbeat:
    """Who owns a run. The process's birth guards against a process id that the system used again."""

    pid: int
    born: float
    """As `birth` tells it."""
    host: str
    machine: str
    """As `machine` tells it."""
    time: float
    state: State
    step: int = 0


@cache
def machine() -> str:
    """Where process ids mean what they mean here: the machine since it was booted, and the container in it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:  # no Linux
        return socket.gethostname()


def birth(pid: int) -> float:
    """When a process began; where there is /proc, no jump of the time of day changes it. NaN for one that is gone or dead."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return math.nan if status[0] in "ZX" else float(status[19])
    except (OSError, IndexError, ValueError):
        if Path("/proc/self/stat").exists():
            return math.nan
    import psutil  # late: the first frame of a list of runs has no use for it

    try:
        process = psutil.Process(pid)
        return math.nan if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return math.nan


def beat(path: Path, state: State, step: int) -> None:
    """Write this process's heartbeat, whole. OSError when the disk is full."""
    pid = os.getpid()
    record = Heartbeat(pid, birth(pid), socket.gethostname(), machine(), time.time(), state, step)
    part = path.with_name(".heartbeat.part")
    write_text(part, json.dumps(asdict(record)))
    os.replace(part, path)


def read_heartbeat(path: Path) -> Heartbeat | None:
    """The last heartbeat; None where there is none that can be read."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        who = int(raw["pid"]), float(raw["born"]), str(raw["host"]), str(raw["machine"])
        pulse = Heartbeat(*who, float(raw["time"]), raw["state"], int(raw["step"]))
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    return pulse if pulse.state in get_args(State) and 0 < pulse.pid < 2**31 else None


def alive(path: Path) -> bool:
    """Whether the process behind a heartbeat still runs."""
    pulse = read_heartbeat(path)
    if pulse is None:
        return False
    if pulse.machine == machine():
        return abs(birth(pulse.pid) - pulse.born) < 0.1
    return _beats(path, pulse)


_heard: dict[Path, tuple[float, float]] = {}
"""Of the hosts on other machines: the time that each last said, and when it was read here."""


def _beats(path: Path, pulse: Heartbeat) -> bool:
    """Whether a host on another machine was heard of lately; between two looks its clock does not matter."""
    known = _heard.get(path)
    if known is None or known[0] != pulse.time:
        lately = known is not None or _recent(path, pulse)
        _heard[path] = known = (pulse.time, time.monotonic() if lately else -math.inf)
    return time.monotonic() - known[1] < STALE_SECONDS


def _recent(path: Path, pulse: Heartbeat) -> bool:
    """What a first look can tell."""
    age = time.time() - pulse.time
    for _ in range(30 if age < -STALE_SECONDS else 0):  # one of the clocks is wrong: only a second beat can tell
        time.sleep(0.1)
        again = read_heartbeat(path)
        if again and again.time != pulse.time:
            return True
    return abs(age) < STALE_SECONDS


def state_of(run: RunDir, ended: str = "") -> State:
    """The state of a run. `ended` is the state of its last `ended` event, if no host took the run after it."""
    if ended:
        return ended  # type: ignore[return-value]
    pulse = read_heartbeat(run.heartbeat)
    if pulse is None:
        from cockpit.runs.queue import GONE, job_of, word  # late: it asks this module about processes

        if job := job_of(run):
            return "lost" if word(job) == GONE else "new"
        # The host needs a moment from its birth to its first heartbeat.
        try:
            return "new" if time.time() - run.recipe.stat().st_mtime < STALE_SECONDS else "lost"
        except OSError:  # the directory was removed
            return "lost"
    return pulse.state if alive(run.heartbeat) else "lost"
