"""Whether a host that was started in the background got hold of its run: only one can, of two started at once."""

import math
import time
from collections.abc import Callable

from cockpit.cli.base import BadInputError, fail
from cockpit.runs.directory import RunDir
from cockpit.runs.launch_facts import processes
from cockpit.runs.state import Heartbeat, alive, birth, machine, read_heartbeat

PATIENCE = 10.0
"""Seconds that a host has to take the run; a machine that is slower is believed ..."""
GRACE = 2.0
"""... and seconds in which another, before which ours gave way, has its first heartbeat."""
POLL = 0.02


def taken(run: RunDir, spawn: Callable[[], int]) -> int:
    """Start the host; its process id once it holds the run. Raises BadInputError where another holds it.

    Ends with 1 where it fell before that. torchrun's process is not the one that holds the run, and is not waited for.
    """
    before = read_heartbeat(run.heartbeat)
    pid = spawn()
    gone, until = False, time.monotonic() + PATIENCE
    while processes(run) == 1 and time.monotonic() < until:
        if not gone and math.isnan(birth(pid)):
            gone, until = True, time.monotonic() + GRACE
        pulse = read_heartbeat(run.heartbeat)
        news = pulse is not None and _who(pulse) != _who(before)
        if pulse and news and (pulse.pid, pulse.machine) == (pid, machine()):
            return pid
        if pulse and gone and (news or alive(run.heartbeat)):
            there = f" on {pulse.host}" if pulse.machine != machine() else ""
            raise BadInputError(f"run {run.id} ({run.name}) is held by process {pulse.pid}{there} already")
        time.sleep(POLL)
    if gone:
        fail(f"run {run.id} ({run.name}) does not go on: process {pid} ended before it took it; {run.log} says why", code=1)
    return pid


def _who(pulse: Heartbeat | None) -> tuple[int, float, str] | None:
    return (pulse.pid, pulse.born, pulse.machine) if pulse else None
