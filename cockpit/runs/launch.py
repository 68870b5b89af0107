"""Starts a host for a run directory in a process and session of its own, so that no terminal's end can reach it."""

import subprocess
import sys
from pathlib import Path

from cockpit.runs.directory import RunDir


def spawn(run: RunDir, *, resume: bool = False) -> int:
    """Start a background host; returns its process id. Everything it prints goes to host.log."""
    arguments = [sys.executable, "-m", "cockpit.host", str(run.path), *(["--resume"] if resume else [])]
    with open(run.log, "ab") as log:
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
