"""A run whose host a batch queue starts: what launch.json says of its job, and what the queue says of it now.

Without submitit, which takes long to import: lists of runs ask this. One question to Slurm serves all runs of a command.
"""

import json
import math
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from cockpit.runs.directory import RunDir
from cockpit.runs.state import State, birth, machine

GONE, UNKNOWN, RUNNING = "gone", "unknown", ("running", "completing")
FRESH = 10.0
"""Seconds that an answer of Slurm's holds; a screen looks several times a second."""
PATIENCE = 10.0
"""Seconds that Slurm is given to answer."""
SQUEUE = ("squeue", "--me", "--noheader", "--format=%A %T")


@dataclass(frozen=True)
class Job:
    """A job that was handed in."""

    queue: str
    """slurm, or local: submitit's controller process on one machine."""
    id: str
    time: float = 0.0
    """When it was handed in, in seconds since 1970."""
    born: float = math.nan
    machine: str = ""
    """Of a local one: which process its number means."""

    @property
    def name(self) -> str:
        """As messages call it."""
        return f"{self.queue} job {self.id}"


def local_job(pid: int) -> Job:
    """A job of the local queue, which is a process of this machine."""
    return Job("local", str(pid), time.time(), birth(pid), machine())


def job_of(run: RunDir) -> Job | None:
    """The job that hosts a run or is to; None where no queue has a part in it, or where the job went on to another run."""
    try:
        said = json.loads(run.launch.read_text(encoding="utf-8"))["queue"]
        if "onward" in said:
            return None
        return Job(str(said["queue"]), str(said["id"]), float(said["time"]), float(said["born"]), str(said["machine"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def word(job: Job, *, anew: bool = False) -> str:
    """What the queue says: its own word for the job's state in lower case, gone, or unknown where it cannot be asked."""
    if job.queue == "local":
        if job.machine != machine():
            return UNKNOWN
        return "running" if abs(birth(int(job.id)) - job.born) < 0.1 else GONE
    jobs = _slurm.jobs(0.0 if anew else FRESH, job.time)
    return UNKNOWN if jobs is None else jobs.get(job.id, GONE)


def waits(word: str) -> bool:
    """Whether a job of which the queue says so has yet to begin."""
    return word not in (GONE, UNKNOWN, *RUNNING)


def in_queue(run: RunDir, state: State) -> dict[str, Any] | None:
    """The queue's part in a run, as plain data; None where it has none (any more)."""
    job = job_of(run)
    if job is None or state == "finished":
        return None
    said = "running" if state in ("starting", "running", "paused") else word(job)
    began = state not in ("new", "lost") or run.heartbeat.exists()
    return None if said == GONE and began else {"name": job.queue, "job": job.id, "state": said}


def sentence(state: State, queue: dict[str, Any] | None) -> str:
    """The same in words; empty where there is nothing to say."""
    if queue is None or state in ("starting", "running", "paused"):
        return ""
    job, said = f"{queue['name']} job {queue['job']}", queue["state"]
    if said == GONE:
        return f"{job} left the queue before the run began; the folder `queue` in the run's has its log"
    if state == "new":
        return f"{job} begins" if said in RUNNING else f"waits as {job} ({_whether(said)})"
    if said in RUNNING:
        return f"{job} is {said}" if state == "interrupted" else ""
    return "" if said == UNKNOWN else f"queued again as {job} ({said})"


def _whether(said: str) -> str:
    return "squeue gives no answer here" if said == UNKNOWN else said


class _Slurm:
    """The last answer."""

    def __init__(self) -> None:
        self._jobs: dict[str, str] | None = None
        self._asked = -math.inf
        self._at = -math.inf

    def jobs(self, age: float, since: float) -> dict[str, str] | None:
        """Job id -> state of all jobs of this user that have not ended; None where Slurm gives no answer.

        The answer is at most `age` seconds old, and no older than `since`, in seconds since 1970.
        """
        if time.monotonic() - self._asked >= age or self._at < since:
            self._at, self._asked = time.time(), time.monotonic()
            self._jobs = _ask()
        return self._jobs


_slurm = _Slurm()


def _ask() -> dict[str, str] | None:
    try:
        answer = subprocess.run(SQUEUE, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return {id: state.lower() for id, _, state in (line.partition(" ") for line in answer.splitlines())}
