"""Hosts of a run, forked from a process that has imported everything: one is born in milliseconds, and can be killed."""

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from cockpit.host.host import Host
from cockpit.runs.directory import RunDir
from cockpit.runs.mailbox import Command, send

PHASES = {"s": "start-up", "r": "resume", "t": "training", "e": "evaluation", "c": "checkpoint", "x": "end"}
"""What a host says on its pipe when it enters one of these."""
HASTE = 20
"""How much faster the clock of the checkpoints runs: the least that a recipe may ask for is one every three seconds."""

Order = tuple[int, str, str]
"""An edit that is sent through the mailbox once a step is done: (step, path, value)."""

EachStep = Callable[[Host, int, Any], None]
"""Called in the training thread after each step: host, steps done, keeper."""


def warm() -> None:
    """Import all that a host needs; to be called before the first fork."""
    import torch

    torch.set_num_threads(1)
    import sklearn.datasets  # noqa: F401

    from cockpit.catalog import catalog, flags
    from cockpit.engine import assemble, checkpoints, evaluation, keeper, loop, reopen  # noqa: F401
    from cockpit.host.flight import expected

    expected(ValueError())
    catalog(), flags()
    torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1).step()


@dataclass
class Forked:
    """A host as its parent sees it."""

    pid: int
    pipe: int
    begun: float = field(default_factory=time.monotonic)
    trace: list[tuple[float, str]] = field(default_factory=list)
    """(seconds since the fork, phase entered)"""
    code: int | None = None

    def watch(self, seconds: float, wanted: Callable[[], bool] = lambda: False) -> bool:
        """Follow its phases for so long, or until something is wanted of them; False once it has ended."""
        until = self.begun + seconds
        while (left := until - time.monotonic()) > 0 and not wanted():
            if select.select([self.pipe], [], [], left)[0]:
                said = os.read(self.pipe, 1)
                if not said:
                    self.reap()
                    return False
                self.trace.append((time.monotonic() - self.begun, said.decode()))
        return True

    @property
    def phase(self) -> str:
        """Where it is now."""
        return self.trace[-1][1] if self.trace else "s"

    def kill(self) -> None:
        """-9"""
        os.kill(self.pid, signal.SIGKILL)
        self.reap()

    def reap(self) -> None:
        """Wait for its end."""
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self.pipe)


def fork(
    run: RunDir, *, resume: bool = False, orders: Sequence[Order] = (), haste: bool = True, each: EachStep | None = None
) -> Forked:
    """A host of the run in a process and session of its own. `haste`: checkpoints come sooner."""
    ours, its = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.close(its)
        return Forked(pid, ours)
    code = 70
    try:
        os.close(ours)
        code = _be_host(run, resume, _at_steps(orders) if each is None else each, its, haste)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(code)


def _be_host(run: RunDir, resume: bool, each: EachStep, pipe: int, haste: bool) -> int:
    """What `python -m cockpit.host` does, and tell the parent of it."""
    os.setsid()
    log = os.open(run.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    from cockpit.host.__main__ import told
    from cockpit.runs.directory import RunError

    _tell_of_phases(lambda phase: os.write(pipe, phase.encode()), resume)
    if haste:
        _hasten()
    host = Host(run, resume=resume, say=told, alone=True)
    _call_each_step(host, each)
    host.catch_signals()
    try:
        return 1 if host.run().state == "failed" else 0
    except RunError as error:
        print(f"cockpit: {error}", file=sys.stderr)
        return 2


def _hasten() -> None:
    from cockpit.engine import keeper

    keeper.time = SimpleNamespace(monotonic=lambda: HASTE * time.monotonic(), sleep=time.sleep)  # type: ignore[attr-defined]


def _tell_of_phases(tell: Callable[[str], object], resume: bool) -> None:
    from cockpit.engine import checkpoints, loop

    stack = ["r" if resume else "s"]
    tell(stack[0])

    def telling(phase: str, work: Callable[..., Any], after: str = "") -> Callable[..., Any]:
        def inner(*given: Any, **named: Any) -> Any:
            tell(phase)
            stack.append(phase)
            try:
                return work(*given, **named)
            finally:
                stack.pop()
                tell(after or stack[-1])

        return inner

    checkpoints.save = telling("c", checkpoints.save)
    loop.evaluate = telling("e", loop.evaluate)
    loop.train = telling("t", loop.train, after="x")


def _call_each_step(host: Host, each: EachStep) -> None:
    control = host.flight.control
    obey = control.obey

    def obeying(job: Any, recorder: Any, keeper: Any) -> Any:
        each(host, job.step, keeper)
        return obey(job, recorder, keeper)

    control.obey = obeying  # type: ignore[method-assign]


def _at_steps(orders: Sequence[Order]) -> EachStep:
    """Send edits through the mailbox when their step is done, unless the run's record has them, and wait until they are in."""
    from cockpit.engine import keeper as keepers

    def ordering(host: Host, now: int, keeper: Any) -> None:
        control = host.flight.control
        for step, path, value in orders:
            made = (*keeper.logbook.history.edits, *control.again)
            if step == now and not any(edit.step == step and edit.path == path for edit in made):
                keeper._saved = keepers.time.monotonic()  # a checkpoint of this step would leave no way back to the edit
                asked = send(host.run_dir.mailbox, Command("edit", {"path": path, "value": value}))
                while not any(command.id == asked.id for command in heard(host)):
                    time.sleep(0.002)

    return ordering


def heard(host: Host) -> list[Command]:
    """What a host took out of its mailbox and has not obeyed yet."""
    return [command for command in list(host.flight.control._waiting) if isinstance(command, Command)]
