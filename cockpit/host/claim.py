"""One host for a run: a lock that the system takes back when its process dies, however it dies."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from cockpit.runs.directory import RunDir, RunError
from cockpit.runs.history import read_history

HAND_OVER = 20.0
"""Seconds that a host waits for the one before it to leave."""
POLL = 0.1


@contextmanager
def claim(run: RunDir, held: int = -1) -> Iterator[int]:
    """Hold a run, by a lock or one that was held already. Yields the lock.

    A host that has written its last word may still be on its way out; any other keeps it: RunError.
    """
    lock = held if held >= 0 else os.open(run.claim, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        until = time.monotonic() + HAND_OVER
        while not _locked(lock):
            if read_history(run).ended is None or time.monotonic() > until:
                raise RunError(f"run {run.id} ({run.name}) is held by another process")
            time.sleep(POLL)
        yield lock
    finally:
        os.close(lock)


def _locked(file: int) -> bool:
    """Whether the lock is ours now; True also where there are no locks, and the heartbeat alone must tell."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):  # Windows, or a file system without locks
        return True
    return True
