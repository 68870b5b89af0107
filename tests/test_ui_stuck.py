"""A terminal that takes nothing: the application goes on answering keys, and a run in its own process goes on training."""

import os
import sys
import time
from pathlib import Path

import pytest
from conftest import TINY
from test_hang_up import drained

from cockpit.runs.directory import list_runs
from cockpit.runs.events import Checkpointed
from cockpit.runs.history import RunReader

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a pseudo-terminal is needed")


def test_a_stuck_terminal_stops_neither_keys_nor_a_run_in_the_same_process(tmp_path: Path, runs: Path) -> None:
    import pty

    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(TINY)
    words = ["-m", "cockpit", "open", str(recipe), "--in-process", "--set", "train.epochs=100000"]
    pid, terminal = pty.fork()
    if not pid:
        size = {"TERM": "xterm-256color", "LINES": "48", "COLUMNS": "160"}
        os.execve(sys.executable, [sys.executable, *words], os.environ | size)
    seen = b""

    def ready() -> bool:
        nonlocal seen
        seen += os.read(terminal, 65536)
        return b"Start" in seen

    while not ready():
        pass
    os.write(terminal, b"r")
    drained(terminal, lambda: runs.is_dir() and bool(list_runs(runs)))
    reader = RunReader(list_runs(runs)[0])

    def after(steps: int) -> bool:
        reader.poll()
        return reader.history.step > steps

    drained(terminal, lambda: after(10))
    for key in (b"?", b"\x1b") * 30:  # from here on nobody reads: what opens and closes fills whatever lies between
        os.write(terminal, key)
        time.sleep(0.1)
    held = reader.history.step
    while not after(held + 500):
        pass
    before = len(reader.history.checkpoints)
    os.write(terminal, b"c")
    while not any(isinstance(event, Checkpointed) for event in reader.history.checkpoints[before:]):
        reader.poll()
    os.close(terminal)
    os.waitpid(pid, 0)
    reader.poll()
    assert reader.state == "interrupted"
