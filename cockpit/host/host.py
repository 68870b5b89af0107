"""The main thread of a run: it beats, reads the mailbox, samples the machine, and hands signals on."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from types import FrameType

from cockpit.host.claim import HAND_OVER, claim
from cockpit.host.flight import Flight
from cockpit.host.machine import MachineLog
from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir, RunError
from cockpit.runs.history import read_history
from cockpit.runs.launch import spawn
from cockpit.runs.log import LineWriter
from cockpit.runs.mailbox import Command, take
from cockpit.runs.state import State, alive, beat, read_heartbeat

POLL = 0.1
"""Seconds between two looks into the mailbox."""


class Host:
    """Owns one run. `run` blocks until the training has ended; the very same object serves background and in-process use."""

    def __init__(
        self,
        run: RunDir,
        *,
        resume: bool = False,
        say: Callable[[str], None] = print,
        onward: Callable[[RunDir], object] = spawn,
    ) -> None:
        self.run_dir = run
        self._onward = onward
        """Called with the run that goes on in place of this one; as it stands, that is a host in the background."""
        self.flight = Flight(run, resume=resume, say=say)
        self._beaten = 0.0
        self._said: State = "new"

    def run(self, idle: Callable[[], None] = lambda: None) -> ev.Ended:
        """Fly, and serve the run until it has ended; `idle` is called at every turn. Raises RunError where it is taken."""
        with claim(self.run_dir):
            end = self._fly(idle)
        if self.flight.successor:
            self._onward(self.flight.successor)
        return end

    def _fly(self, idle: Callable[[], None]) -> ev.Ended:
        self._take()
        machine = MachineLog(self.run_dir)
        thread = threading.Thread(target=self.flight.fly, name="training", daemon=True)
        thread.start()
        while thread.is_alive():
            self._turn()
            machine.tick()
            idle()
            thread.join(POLL)
        self._turn()
        idle()
        machine.close()
        assert self.flight.end is not None
        return self.flight.end

    def stop(self, state: str = "stopped") -> None:
        """Ask the training to finish its step, write a checkpoint and end."""
        self.flight.control.post(Command("stop", {"state": state}))

    def catch_signals(self) -> None:
        """Ctrl-C and a batch queue's SIGTERM end the run with a checkpoint; a hang-up does not touch it."""

        def end(number: int, _: FrameType | None) -> None:
            self.stop("interrupted")
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

        signal.signal(signal.SIGINT, end)
        signal.signal(signal.SIGTERM, end)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _take(self) -> None:
        self._wait_for_the_last()
        beat(self.run_dir.heartbeat, "starting", 0)
        names = ("training-cockpit", "torch", "torchvision", "numpy")
        launched = ev.Launched(
            t=time.time(),
            pid=os.getpid(),
            host=socket.gethostname(),
            versions={"python": sys.version.split()[0], **{name: version(name) for name in names}},
            command=sys.argv,
        )
        writer = LineWriter(self.run_dir.events)
        writer.append(ev.encode(launched))
        writer.close()

    def _wait_for_the_last(self) -> None:
        """For hosts on other machines, whose claims the file system may not show. Raises RunError."""
        until = time.monotonic() + HAND_OVER
        while (pulse := read_heartbeat(self.run_dir.heartbeat)) and pulse.pid != os.getpid() and alive(pulse):
            if read_history(self.run_dir).ended is None or time.monotonic() > until:
                raise RunError(f"run {self.run_dir.id} is held by process {pulse.pid} on {pulse.host}")
            time.sleep(POLL)

    def _turn(self) -> None:
        for command in take(self.run_dir.mailbox):
            if isinstance(command, Command):
                self.flight.control.post(command)
            else:
                print(f"cockpit: refused: {command}", file=sys.stderr, flush=True)
        state: State = "paused" if self.flight.control.paused else self.flight.state
        if time.monotonic() - self._beaten > 1.0 or state != self._said:
            self._beaten, self._said = time.monotonic(), state
            with suppress(OSError):  # a full disk; the next beat tries again
                beat(self.run_dir.heartbeat, state, self.flight.step)
            if not self.run_dir.path.is_dir():
                self.stop()  # no command could reach this host any more
