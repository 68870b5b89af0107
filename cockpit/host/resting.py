"""A pause that gave the device back: what a host does until it is told to go on. It needs no torch."""

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir
from cockpit.runs.history import read_history
from cockpit.runs.log import LineWriter, complain
from cockpit.runs.mailbox import Command, Refused, take
from cockpit.runs.state import beat

POLL = 0.2
"""Seconds between two looks into the mailbox."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, *((signal.SIGUSR1,) if hasattr(signal, "SIGUSR1") else ()))
"""Those that a host obeys."""


class Rest:
    """Beats and reads the mailbox for a run whose training has left memory; only the host's main thread calls it."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._asked: deque[Command | Refused] = deque()
        history = read_history(run)
        self._step, self._epoch = history.step, history.epoch
        self._beaten = 0.0

    def ask(self, command: Command) -> None:
        """A command that did not come by mail: a signal's."""
        self._asked.append(command)

    def wait(self, idle: Callable[[], None]) -> ev.Ended | None:
        """Until the run is to go on (None), or to end."""
        while True:
            self._beat()
            idle()
            self._asked.extend(take(self._run.mailbox))
            while self._asked:
                command = self._asked.popleft()
                if isinstance(command, Refused):
                    self._write(command.answer(self._step))
                    continue
                going = self._answer(command)
                if command.verb == "continue":
                    return None
                if going:
                    return going
            if not self._run.path.is_dir():
                return ev.Ended(state="failed", reason=f"the run directory {self._run.path} was removed", step=self._step)
            time.sleep(POLL)

    def _answer(self, command: Command) -> ev.Ended | None:
        said = ev.Commanded(step=self._step, id=command.id, verb=command.verb, ok=True)
        if command.verb == "continue":
            self._write(said, ev.Continued(step=self._step))
            return None
        state = command.args.get("state", "stopped")
        if command.verb == "stop" and state in ("stopped", "interrupted"):
            end = ev.Ended(step=self._step, state=state, reason=command.reason or "on request", epoch=self._epoch)
            self._write(said, end)
            return end
        if command.verb == "checkpoint":
            self._write(replace(said, detail="it was written before the device was given back"))
        else:
            self._write(replace(said, ok=False, detail="the run has given its device back: continue it first, or stop it"))
        return None

    def _write(self, *events: ev.Event) -> None:
        try:
            log = LineWriter(self._run.events)
            for event in events:
                log.append(ev.encode(replace(event, t=time.time())))
            log.close()
        except OSError as error:
            complain(f"{events[0].kind} was not recorded: {error.strerror}")

    def _beat(self) -> None:
        if time.monotonic() - self._beaten > 1.0:
            self._beaten = time.monotonic()
            with suppress(OSError):  # a full disk; the next beat tries again
                beat(self._run.heartbeat, "paused", self._step)


def become_small(run: RunDir, lock: int) -> None:
    """Replace this process by one that only waits: the driver's own share of the device goes back with all else."""
    os.set_inheritable(lock, True)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # one that comes meanwhile waits until there is somebody to hear it
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", "cockpit.host", str(run.path), "--resting", str(lock)])


def shrink() -> None:
    """Give back what a process can give back of a device while it lives."""
    import gc

    gc.collect()
    if torch := sys.modules.get("torch"):
        with suppress(Exception):  # a device that is gone has nothing to give back
            torch.cuda.empty_cache()
