"""`python -m cockpit.host RUN_DIRECTORY [--resume | --resting LOCK]`: the background host. Its output is the run's host.log."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from cockpit.host.host import Host
from cockpit.runs.directory import RunDir, RunError
from cockpit.runs.log import complain

NICE = 5
"""The training and a screen want a core at once for milliseconds: the run loses nothing by it."""


def main() -> int:
    """Own a run until it has ended; 0 unless it failed."""
    path, *how = sys.argv[1:]
    resting = int(how[1]) if how[:1] == ["--resting"] else -1
    _give_way()
    host = Host(RunDir(Path(path)), resume=how == ["--resume"], say=told, alone=True, resting=resting)
    host.catch_signals()
    try:
        return 1 if host.run().state == "failed" else 0
    except RunError as error:
        complain(str(error))
    except OSError as error:  # such as a disk that was full from the beginning
        complain(f"{error.filename or path}: {error.strerror or error}")
    return 2


def _give_way() -> None:
    """Let a screen on the same machine answer a key before the training goes on (benchmarks/results/screen.md)."""
    with suppress(OSError, AttributeError):  # Windows has no such number
        os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))


def told(text: str) -> None:
    """Into host.log, unless the disk is full."""
    with suppress(OSError):
        print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
