"""What a batch queue runs: the host of a run, in the main thread of a job that submitit hands in.

A while before the time limit, and where a job is preempted, the queue sends submitit's signal. The host then ends its run with
a checkpoint, as `interrupted`; only then does submitit's own handler have its turn, which hands the same job in again.
Where the run stands is told by its directory and by nothing else, so that a job which the queue itself starts again after a
lost node goes on from the last checkpoint just the same.

Of a job of several tasks, one to a GPU, the first is the host and the others follow it (cockpit.host.crew).
"""

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from cockpit.host.crew import follow, follows, part
from cockpit.host.host import Host
from cockpit.runs.directory import RunDir, RunError
from cockpit.runs.history import read_history
from cockpit.runs.launch_facts import launch_facts, say_facts
from cockpit.runs.queue import job_of, word
from cockpit.runs.state import STALE_SECONDS, alive

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

    from cockpit.runs.events import Ended

TURN = "SUBMITIT_PREEMPT_SIGNAL"
"""Names submitit's signal; USR2 where it is not set."""


class QueuedHost:
    """Called in a job, it owns a run until that has ended, and the runs it goes on in."""

    def __init__(self, run: Path, *, resume: bool = False) -> None:
        self.run, self.resume = run, resume

    def checkpoint(self) -> "DelayedSubmission":
        """What submitit hands in again: the same, for the checkpoint lies in the run directory."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(QueuedHost(self.run, resume=self.resume))

    def __call__(self) -> str:
        """The state in which the run ended. Leaves the process where it failed, and where the job is handed in again."""
        run = newest(RunDir(self.run))
        _print_to(run)
        if _one_of_several():
            follow()
        again = Again()
        try:
            end = self._host(run, again)
        except RunError as error:
            print(f"cockpit: {error}", file=sys.stderr)
            sys.exit(2)
        part(end.state != "failed")
        if end.state == "interrupted":
            again.hand_in(newest(run))
        if end.state == "failed":
            sys.exit(1)
        return end.state

    def _host(self, run: RunDir, again: "Again") -> "Ended":
        resume = self.resume or read_history(run).launched is not None
        if resume:
            _wait_for_the_dead(run)
        onward = [run]
        while True:
            run = onward.pop()
            host = Host(run, resume=resume, say=lambda text: print(text, flush=True), onward=onward.append)
            host.catch_signals()
            end = host.run(idle=again.listen(host))
            if not onward:
                return end
            _pass_on(run, onward[0])
            resume = False


class Again:
    """Hears the queue's signals. All that follows from them is done between two turns of the host and after its end."""

    def __init__(self) -> None:
        self._turn = getattr(signal, f"SIG{os.environ.get(TURN, 'USR2')}")
        self._submitit = signal.getsignal(self._turn)
        self._heard: set[int] = set()

    def listen(self, host: Host) -> "Listener":
        """Hear signals for a host from now on. A second SIGTERM does not kill it: queues send it to every process they know."""
        for number in (signal.SIGTERM, self._turn):
            signal.signal(number, self._hear)
        return Listener(host, self._heard)

    def hand_in(self, run: RunDir) -> None:
        """If the queue takes the machine away, submitit hands the job in again and ends this process.

        A SIGTERM alone comes to a job that is preempted and to one that is cancelled; only of the first Slurm says that it
        runs. Were it to end by itself, Slurm would take it for done.
        """
        job = job_of(run)
        preempted = signal.SIGTERM in self._heard and job is not None and word(job, anew=True) == "running"
        if (self._turn in self._heard or preempted) and callable(self._submitit):
            self._submitit(self._turn, None)

    def _hear(self, number: int, _: FrameType | None) -> None:
        self._heard.add(number)


class Listener:
    """A host's `idle`: once a signal was heard, the host is told to end."""

    def __init__(self, host: Host, heard: set[int]) -> None:
        self._host, self._heard, self._told = host, heard, False

    def __call__(self) -> None:
        """One turn."""
        if self._heard and not self._told:
            self._told = True
            self._host.stop("interrupted", f"on {signal.Signals(min(self._heard)).name}")


def newest(run: RunDir) -> RunDir:
    """The run in which a job's run went on."""
    while (said := launch_facts(run).get("queue")) and said.get("onward"):
        run = RunDir(Path(said["onward"]))
    return run


def _pass_on(run: RunDir, to: RunDir) -> None:
    """The job now hosts another run."""
    said = launch_facts(run).get("queue") or {}
    say_facts(to, queue=said)
    say_facts(run, queue={**said, "onward": str(to.path)})


def _one_of_several() -> bool:
    """Whether this is a task that follows the first; tells torch of the others by the way."""
    from submitit import JobEnvironment
    from submitit.helpers import TorchDistributedEnvironment

    if JobEnvironment().num_tasks > 1:
        TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
    return follows()


def _wait_for_the_dead(run: RunDir) -> None:
    """A host that was lost with its machine counts as alive until it has been silent for long enough."""
    until = time.monotonic() + 2 * STALE_SECONDS
    while read_history(run).ended is None and alive(run.heartbeat) and time.monotonic() < until:
        time.sleep(1.0)


def _print_to(run: RunDir) -> None:
    """What this process prints goes to the run's host.log from now on, as that of any background host."""
    sys.stdout.flush()
    sys.stderr.flush()
    log = os.open(run.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
