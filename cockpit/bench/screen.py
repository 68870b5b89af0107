"""The screen: how soon it is there, what it costs while a run trains, and what the terminal gets. Needs no torch."""

import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from cockpit.bench.cases import CASES, Case
from cockpit.bench.disk import distant
from cockpit.bench.findings import Finding
from cockpit.bench.terminal import COLUMNS, ROWS, Terminal
from cockpit.launch import new_run
from cockpit.runs.directory import RunDir
from cockpit.runs.history import RunReader
from cockpit.runs.launch import spawn
from cockpit.runs.mailbox import Command, send

SOON, MUCH, MANY = 0.7, 0.1, 8000
"""What the screen is held to: seconds to the first frame, share of a core, bytes a second."""
PATIENCE = 120.0
"""Seconds that a run has to begin: torch takes long to come from a slow disk."""
GRACE = 20.0
"""... and to end."""


class NoScreenError(Exception):
    """The screen could not be measured; the text is one sentence."""


def screen(case: Case = CASES["cnn-32"], *, settle: float = 1.5, steady: float = 4.0) -> Finding:
    """A run of its own in the background, and the screen on it. NoScreenError where it never comes."""
    with TemporaryDirectory(prefix="cockpit_bench_") as folder:
        run = new_run(case.recipe("train.device=cpu"), Path(folder), "bench", allow_code=False, command=[])
        host = psutil.Process(spawn(run))
        try:
            _wait_for_rows(run)
            return _measured(run, settle, steady)
        except TimeoutError as error:
            raise NoScreenError(f"the screen could not be measured: {error}") from error
        finally:
            _end(run, host)


def _measured(run: RunDir, settle: float, steady: float) -> Finding:
    command = (sys.executable, "-m", "cockpit", "attach", str(run.path))
    with Terminal(command) as first:
        first.until(b"loss")  # so that the disk's part is not in the figure
    with Terminal(command) as opened:
        frame = opened.until(b"loss")
        start = opened.tally().cpu
        time.sleep(settle)
        before = opened.tally()
        time.sleep(steady)
        after = opened.tally()
    seconds = after.at - before.at
    cpu, rate, frames = after.cpu - before.cpu, (after.bytes - before.bytes) / seconds, after.frames - before.frames
    share = cpu / seconds
    figures = {"first_frame_s": frame, "first_frame_cpu_s": start, "core": share, "bytes_s": rate, "frames_s": frames / seconds}
    figures |= {"frame_s": cpu / frames} if frames else {}
    each = f"{cpu / frames * 1e3:.1f} ms a frame, " if frames else ""
    said = f"first frame {frame:.2f} s, {each}{frames / seconds:.1f} frames/s, {share:.1%} of a core, {rate / 1e3:.1f} kB/s"
    limit, change = _judged(frame, start, share, rate)
    return Finding("screen", f"{COLUMNS}x{ROWS}", said, limit, change, figures)


def _judged(frame: float, start: float, share: float, rate: float) -> tuple[str, str]:
    """What limits the screen, and what to change; `start`: seconds of the processor until the first frame."""
    if rate > MANY:
        return "the terminal's line", "a smaller window, where the line is slow"
    if share > MUCH:
        return "Python overhead", "q leaves the screen, and the run goes on without"
    if frame <= SOON:
        return f"nothing: under {SOON} s, {MUCH:.0%} of a core and {MANY // 1000} kB/s", ""
    if start > frame / 2:
        return f"Python overhead: {start:.2f} s of the processor until the first frame", ""
    waited = f"{frame - start:.2f} of {frame:.2f} s until the first frame went by waiting"
    if distant(sys.prefix):
        return f"disk (of another machine): {waited}", "Python's environment on a local disk"
    return f"the disk, or other work on the processors: {waited}", ""


def _wait_for_rows(run: RunDir) -> None:
    """Until the run trains. TimeoutError, NoScreenError."""
    reader, until = RunReader(run), time.monotonic() + PATIENCE
    while not len(reader.history.steps):
        if reader.history.ended:
            raise NoScreenError(f"the run of the measurement ended as {reader.history.ended.state}")
        if time.monotonic() > until:
            raise TimeoutError("its run never began")
        time.sleep(0.1)
        reader.poll()


def _end(run: RunDir, host: psutil.Process) -> None:
    """Stop the run, and wait for its process: its folder goes next."""
    with suppress(psutil.NoSuchProcess):
        send(run.mailbox, Command("stop"))
        try:
            host.wait(GRACE)
        except psutil.TimeoutExpired:
            host.kill()
            host.wait(GRACE)
