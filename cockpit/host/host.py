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
from cockpit.host.notify import Notifier
from cockpit.host.resting import SIGNALS, Rest, become_small, shrink
from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir, RunError
from cockpit.runs.history import read_history
from cockpit.runs.launch import spawn
from cockpit.runs.log import LineWriter, complain
from cockpit.runs.mailbox import Command, Refused, send, take
from cockpit.runs.state import Heartbeat, State, alive, beat, machine, read_heartbeat

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
        alone: bool = False,
        resting: int = -1,
    ) -> None:
        """`alone`: the process is nothing but this host. `resting`: the lock of a run that has given its device back."""
        self.run_dir = run
        self._alone, self._lock = alone, resting
        self._rest = Rest(run) if resting >= 0 else None
        self._say = say
        self._onward = onward
        """Called with the run that goes on in place of this one; as it stands, that is a host in the background."""
        self.flight = Flight(run, resume=resume, say=say)
        self._beaten = 0.0
        self._said: State = "new"

    def run(self, idle: Callable[[], None] = lambda: None) -> ev.Ended:
        """Fly, and serve the run until it has ended; `idle` is called at every turn. Raises RunError where it is taken."""
        with claim(self.run_dir, self._lock) as lock:
            if self._rest is None:
                self._take()
            notifier = Notifier(self.run_dir)

            def turn() -> None:
                idle()
                notifier.tick()

            while (end := self._rest.wait(turn) if self._rest else self._fly(turn)) is None:
                self._rest = None if self._rest else self._give_back(lock, notifier)
                self.flight = self.flight if self._rest else Flight(self.run_dir, resume=True, say=self._say)
            notifier.close()
        if self.flight.successor:
            self._onward(self.flight.successor)
        return end

    def _give_back(self, lock: int, notifier: Notifier) -> Rest:
        """Out of memory with all that was trained on."""
        for command in self.flight.control.unheard():
            with suppress(OSError):
                send(self.run_dir.mailbox, command)
        self.flight.job = None
        if self._alone:
            notifier.close()
            notifier.wait()
            become_small(self.run_dir, lock)
        shrink()
        return Rest(self.run_dir)

    def _fly(self, idle: Callable[[], None]) -> ev.Ended | None:
        """Train; None where the run waits without its device."""
        machine = MachineLog(self.run_dir, self.flight.spent)
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
        return self.flight.end

    def stop(self, state: str = "stopped", reason: str = "") -> None:
        """Ask the training to finish its step, write a checkpoint and end; the log says why."""
        self._ask(Command("stop", {"state": state}, reason=reason))

    def _ask(self, command: Command) -> None:
        self._rest.ask(command) if self._rest else self.flight.control.post(command)

    def catch_signals(self) -> None:
        """Ctrl-C and a batch queue's SIGTERM end the run with a checkpoint, SIGUSR1 writes one; a hang-up does not touch it."""

        def end(number: int, _: FrameType | None) -> None:
            self.stop("interrupted", "on Ctrl-C (SIGINT)" if number == signal.SIGINT else f"on {signal.Signals(number).name}")
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

        signal.signal(signal.SIGINT, end)
        signal.signal(signal.SIGTERM, end)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(signal.SIGUSR1, lambda *_: self._ask(Command("checkpoint")))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

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
        while (pulse := read_heartbeat(self.run_dir.heartbeat)) and self._elsewhere(pulse) and alive(self.run_dir.heartbeat):
            if read_history(self.run_dir).ended is None or time.monotonic() > until:
                raise RunError(f"run {self.run_dir.id} is held by process {pulse.pid} on {pulse.host}")
            time.sleep(POLL)

    @staticmethod
    def _elsewhere(pulse: Heartbeat) -> bool:
        return (pulse.pid, pulse.machine) != (os.getpid(), machine())

    def _turn(self) -> None:
        for command in take(self.run_dir.mailbox):
            if isinstance(command, Refused):
                complain(f"refused: {command}")
            self.flight.control.post(command)
        state: State = "paused" if self.flight.control.paused else self.flight.state
        if time.monotonic() - self._beaten > 1.0 or state != self._said:
            self._beaten, self._said = time.monotonic(), state
            with suppress(OSError):  # a full disk; the next beat tries again
                beat(self.run_dir.heartbeat, state, self.flight.step)
            if not self.run_dir.path.is_dir():
                self.stop()  # no command could reach this host any more
