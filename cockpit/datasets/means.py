"""What this machine gives a process: processor cores and memory, as far as its group of processes may use them."""

import os
from pathlib import Path

import psutil

MOST_WORKERS = 32
SHARE_OF_MEMORY = 0.25
"""Of the free memory that decoded images may fill: while they are read and split, they stand there up to three times."""


def cores() -> int:
    """Processor cores that this process may use."""
    some = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _of_group("cpu.max").partition(" ")
    return max(1, min(some, round(int(quota) / int(period)))) if quota.isdigit() and period.isdigit() else some


def processes_here() -> int:
    """Processes of this run on this machine, as torchrun says in the environment."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def decoders() -> int:
    """Processes that may decode images: one of this process's share of the cores is left to the training."""
    return max(1, min(MOST_WORKERS, cores() // processes_here() - 1))


def memory_for_images() -> float:
    """Bytes that decoded images may fill."""
    most, used = _of_group("memory.max"), _of_group("memory.current")
    free = psutil.virtual_memory().available
    if most.isdigit() and used.isdigit():
        free = min(free, max(0, int(most) - int(used)))
    return SHARE_OF_MEMORY * free / processes_here()


def _of_group(name: str) -> str:
    """A limit that the system sets for this group of processes (cgroup v2); empty where there is none."""
    try:
        group = Path("/proc/self/cgroup").read_text().partition("0::")[2].splitlines()[0]
        for folder in (Path("/sys/fs/cgroup") / group.lstrip("/"), Path("/sys/fs/cgroup")):
            if (file := folder / name).is_file():
                return file.read_text().strip()
    except (OSError, IndexError):
        pass
    return ""
