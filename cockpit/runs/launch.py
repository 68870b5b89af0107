"""Starts a host for a run directory in a process and session of its own, so that no terminal's end can reach it."""

import subprocess
import sys
from pathlib import Path

from cockpit.runs.directory import RunDir
from cockpit.runs.launch_facts import processes
from cockpit.runs.private import opener


def spawn(run: RunDir, *, resume: bool = False) -> int:
    """Start a background host, or torchrun with one of several processes; returns its process id.

    Everything it prints goes to host.log.
    """
    count, how = processes(run), ["--resume"] if resume else []
    if count == 1:
        arguments = [sys.executable, "-m", "cockpit.host", str(run.path), *how]
    else:
        torchrun = ["torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
        arguments = [sys.executable, "-m", *torchrun, "-m", "cockpit.host.crew", str(run.path), *how]
    with open(run.log, "ab", opener=opener) as log:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=Path.cwd(),
            close_fds=True,
        )
    return process.pid
