"""What this machine is, in a line. Needs no torch."""

import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path


def processor() -> str:
    """The name of the processor, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> str:
    """Processor, cores, load, versions and date."""
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    versions = f"Python {sys.version.split()[0]}, torch {version('torch')}"
    count = cores()
    parts = (processor(), f"{count} core{'s' if count > 1 else ''}", load, versions, time.strftime("%Y-%m-%d"))
    return " · ".join(part for part in parts if part)
