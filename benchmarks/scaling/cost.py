"""Seconds and memory of a program, taken from outside."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PYTHON = sys.executable


class Cost(NamedTuple):
    """Of one program, from exec to exit."""

    seconds: float
    own: float
    """Most megabytes that were its own: what lies in maps of files is the system's to take back."""
    all: float
    """Most megabytes, maps of files included."""
    said: str


def memory(pid: int) -> tuple[float, float]:
    """(own megabytes now, most megabytes ever) of a process."""
    with suppress(OSError, KeyError):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        told = dict(line.split(":", 1) for line in lines)
        return tuple(int(told[name].split()[0]) / 1000 for name in ("RssAnon", "VmHWM"))  # type: ignore[return-value]
    return 0.0, 0.0


def cost(*command: str) -> Cost:
    """Run a program to its end."""
    begun, own, most = time.perf_counter(), 0.0, 0.0
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=os.environ) as program:
        while program.poll() is None:
            now, peak = memory(program.pid)
            own, most = max(own, now), max(most, peak)
            time.sleep(0.004)
        seconds = time.perf_counter() - begun
        if program.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {program.returncode}")
        assert program.stdout
        return Cost(seconds, own, most, program.stdout.read())


def table(head: str, *rows: tuple[object, ...]) -> str:
    """Markdown."""
    columns = head.count("|") + 1
    return "\n".join([f"| {head} |", "|---" * columns + "|", *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""])
