"""Hands runs to a batch queue, and takes back those that still wait in it."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cockpit.cli.base import BadInputError, say, show_json
from cockpit.cli.queueing import LOCAL, MINUTES, TIMES, Wish
from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir
from cockpit.runs.history import RunReader
from cockpit.runs.queue import GONE, UNKNOWN, Job, job_of, local_job, waits, word

if TYPE_CHECKING:
    from submitit import Executor


def submit_new(run: RunDir, wish: Wish) -> Job:
    """Hand in a run that has just been made; where the queue does not take it, the run is gone again. Raises BadInputError."""
    try:
        return submit(run, wish)
    except BadInputError:
        shutil.rmtree(run.path, ignore_errors=True)
        raise


def submit(run: RunDir, wish: Wish, *, resume: bool = False) -> Job:
    """Hand a run to a queue and write its job into launch.json. Raises BadInputError with the queue's own words."""
    from cockpit.host.queued import QueuedHost
    from cockpit.runs.launch_facts import say_facts

    try:
        with _apart():
            handed = _executor(run, wish).submit(QueuedHost(run.path, resume=resume))
    except (RuntimeError, OSError, ValueError) as error:
        raise BadInputError(f"{wish.queue} did not take the run: {' '.join(str(error).split())}") from error
    job = local_job(int(handed.job_id)) if wish.queue == "local" else Job("slurm", handed.job_id, time.time())
    say_facts(run, queue=asdict(job))
    return job


@contextmanager
def _apart() -> Iterator[None]:
    """The stand-in's controller inherits what this process has: it must hold no pipe of a caller's and heed no hang-up.

    What submitit would print besides is in the exceptions that it raises.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    heard, kept, nowhere = signal.getsignal(signal.SIGHUP), [os.dup(1), os.dup(2)], os.open(os.devnull, os.O_RDWR)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, heard)
        for stream, old in zip((1, 2), kept, strict=True):
            os.dup2(old, stream)
            os.close(old)
        os.close(nowhere)


def tell(run: RunDir, job: Job, wish: Wish, *, json: bool) -> None:
    """Say what was handed in."""
    if json:
        show_json({"id": run.id, "name": run.name, "dir": str(run.path), "pid": None, "queue": job.queue, "job": job.id})
        return
    limit = f"{wish.minutes} minutes at a time{'' if 'time' in wish.options else '; -o time=... asks for more'}"
    say(f"run {run.id} ({run.name}) is handed in as {job.name}, for {limit}")
    for line in (f"  {run.path}", f"  cockpit attach {run.id}"):
        say(line)


def _executor(run: RunDir, wish: Wish) -> "Executor":
    from submitit import LocalExecutor, SlurmExecutor

    options = {"time": MINUTES, **wish.options}
    tries = options.pop("max_num_timeout", TIMES)
    if wish.queue == "local":
        tasks = options.pop("ntasks_per_node", 1)
        local = LocalExecutor(run.path / "queue", max_num_timeout=tries)
        local.update_parameters(tasks_per_node=tasks, **{LOCAL[key]: value for key, value in options.items()})
        return local
    slurm = SlurmExecutor(run.path / "queue", max_num_timeout=tries)
    # Where a cluster's jobs are not handed in again by default, they must say that they may be.
    more = {"requeue": True, **options.pop("additional_parameters", {})}
    slurm.update_parameters(**{"job_name": f"cockpit_{run.id}", **options}, additional_parameters=more)
    return slurm


def refuse_if_queued(run: RunDir, state: str) -> None:
    """A run that a queue is about to start needs no other host: BadInputError."""
    job = job_of(run)
    if job is None or state == "finished":
        return
    said = word(job)
    if waits(said) or (said not in (GONE, UNKNOWN) and state in ("new", "interrupted")):
        text = f"run {run.id} ({run.name}) is {job.name} already ({said}), and goes on by itself when that begins"
        raise BadInputError(f"{text}; `cockpit stop {run.id}` cancels it")


def leave_queue(run: RunDir) -> None:
    """Forget the job of a run that goes on without it."""
    from cockpit.runs.launch_facts import launch_facts, say_facts

    if launch_facts(run).get("queue"):
        say_facts(run, queue=None)


def cancelled(reader: RunReader, wait: float) -> bool:
    """Cancel the job of a run that waits in its queue, and record the end; False where it does not wait, or has just begun.

    Raises BadInputError where the queue cannot be asked, or keeps the job.
    """
    run, job = reader.run, job_of(reader.run)
    said = word(job, anew=True) if job else GONE
    if job and said == UNKNOWN and reader.state == "new":
        raise BadInputError(
            f"run {run.id} ({run.name}) waits as {job.name}, and no squeue answers here: cancel it on the cluster"
        )
    if job is None or not waits(said):
        return False
    before = reader.history.launched
    _scancel(run, job)
    until = time.monotonic() + wait
    while (said := word(job, anew=True)) != GONE and time.monotonic() < until:
        time.sleep(0.2)
    reader.poll()
    if said != GONE:
        raise BadInputError(f"{job.queue} was told to cancel job {job.id} of run {run.id}, and still has it: {said}")
    if reader.history.launched is not before:
        return False
    _record(reader, f"{job.name} was cancelled while it waited")
    return True


def _scancel(run: RunDir, job: Job) -> None:
    import subprocess

    from submitit import SlurmJob

    submitted: Any = SlurmJob(run.path / "queue", job.id)
    try:
        submitted.cancel()
    except (OSError, subprocess.SubprocessError) as error:
        raise BadInputError(f"{job.name} of run {run.id} cannot be cancelled from here: {error}") from error


def _record(reader: RunReader, why: str) -> None:
    """No host will write the last event: this process does."""
    from cockpit.runs.log import LineWriter

    history = reader.history
    end = ev.Ended(t=time.time(), step=history.step, epoch=history.epoch, state="stopped", reason=why)
    log = LineWriter(reader.run.events)
    log.append(ev.encode(end))
    log.close()
    reader.poll()
