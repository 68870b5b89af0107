"""The disk of the runs: what an append and a flush cost there. Needs no torch."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import psutil

from cockpit.bench.findings import Finding
from cockpit.runs import private
from cockpit.runs.log import LineWriter

FAR = ("nfs", "cifs", "smb", "fuse.sshfs", "9p", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "afs")
"""Beginnings of the names of file systems that lie on other machines."""
SLOW_APPEND, SLOW_FLUSH = 1e-3, 0.1
"""Seconds: a run appends a few times a second, and flushes once in a few seconds."""


def disk(root: Path, *, lines: int = 1000, flushes: int = 20, megabytes: int = 64) -> Finding:
    """Measured in a folder of its own under `root`, removed afterwards. OSError where nothing can be written there."""
    root.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        private.make_folder(root)
    with TemporaryDirectory(prefix=".bench_", dir=root) as folder:
        writer = LineWriter(Path(folder) / "lines")
        appends = [_timed(lambda: writer.append("x" * 200)) for _ in range(lines)]
        waits = []
        for _ in range(flushes):
            writer.append("x" * 200)
            waits.append(_timed(writer.flush))
        writer.close()
        rate = megabytes / _timed(lambda: _write(Path(folder) / "large", megabytes))
    append, flush = median(appends), median(waits)
    slow = append > SLOW_APPEND or flush > SLOW_FLUSH
    limit = f"disk{' (of another machine)' if distant(root) else ''}" if slow else "nothing: a run writes a few times a second"
    said = f"append {append * 1e6:.0f} us, flush {flush * 1e3:.1f} ms (longest {max(waits) * 1e3:.0f}), {rate:.0f} MB/s"
    figures = {"append_s": append, "flush_s": flush, "longest_flush_s": max(waits), "megabytes_s": rate}
    change = "COCKPIT_RUNS on a local disk" if slow else ""
    return Finding("disk", f"runs on {file_system(root) or 'an unknown file system'}", said, limit, change, figures)


def distant(path: str | Path) -> bool:
    """Whether a path lies on another machine's disk, as far as the system tells."""
    return file_system(path).startswith(FAR)


def file_system(path: str | Path) -> str:
    """The kind of file system that a path lies on; empty where the system does not tell."""
    whole = os.path.realpath(path)
    over = [part for part in psutil.disk_partitions(all=True) if _under(whole, part.mountpoint)]
    return max(over, key=lambda part: len(part.mountpoint)).fstype if over else ""


def _under(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _write(path: Path, megabytes: int) -> None:
    """Noise, which no file system presses together, on to the disk: what lies in memory is not written yet."""
    noise = os.urandom(1 << 20)
    with open(path, "wb") as file:
        for _ in range(megabytes):
            file.write(noise)
        file.flush()
        os.fsync(file.fileno())
